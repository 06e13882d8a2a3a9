"""Models that a search of the Hugging Face Hub finds."""

from collections.abc import Iterator
from dataclasses import dataclass

from torchgeo_geosane.collection.base import CollectionError, TrainedModel, unavailable
from torchgeo_geosane.collection.formats import Format, weights_files
from torchgeo_geosane.collection.hub import Hub, UnreachableError

# The paper's.
KEYWORDS = (
    'sentinel-1',
    'sentinel-2',
    'SAR',
    'multispectral',
    'land cover',
    'flood',
    'disaster',
)


@dataclass(frozen=True, kw_only=True)
class HubSearch:
    """The repositories that searches find, and every model in them.

    Attributes:
        search: What to look for, one search each.
        limit: The most repositories of each search; the most often downloaded first.
        formats: Formats by preference: of a repository only the files of the first it has are taken.
        pause: Seconds between two questions to the Hub.
    """

    search: tuple[str, ...] = KEYWORDS
    limit: int = 100
    formats: tuple[Format, ...] = ('safetensors', 'pickle')
    pause: float = 0.5

    @property
    def name(self) -> str:
        """``huggingface``."""
        return 'huggingface'

    def models(self) -> Iterator[TrainedModel]:
        """The models of each repository, in the order in which searches find it first.

        Raises:
            UnreachableError: If the Hub does not answer.
        """
        hub = Hub(self.pause)
        found: dict[str, None] = {}
        for words in self.search:
            try:
                found |= dict.fromkeys(hub.search(words, self.limit))
            except UnreachableError:
                raise
            except CollectionError as error:
                yield unavailable(f'{self.name}/search for {words}', 'huggingface', str(error))
        for repository in found:
            yield from self._models(hub, repository)

    def _models(self, hub: Hub, name: str) -> Iterator[TrainedModel]:
        try:
            repository = hub.describe(name)
        except UnreachableError:
            raise
        except CollectionError as error:
            yield unavailable(f'{self.name}/{name}', name, str(error))
            return
        files = weights_files(repository.files, self.formats)
        if not files:
            wanted = ', '.join(self.formats)
            reason = f'it has no file with weights in a format asked for ({wanted})'
            yield unavailable(f'{self.name}/{name}', name, reason, repository.licence)
        for file in files:
            yield repository.model(file, f'{self.name}/{name}/{file}')
