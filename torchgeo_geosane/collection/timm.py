"""timm's pretrained weights, by their names."""

import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass

from torchgeo_geosane.collection.base import CollectionError, TrainedModel, unavailable
from torchgeo_geosane.collection.formats import Format, weights_files
from torchgeo_geosane.collection.hub import Hub, model_or_reason
from torchgeo_geosane.errors import did_you_mean

_FORMATS: tuple[Format, ...] = ('safetensors', 'pickle')


@dataclass(frozen=True, kw_only=True)
class TimmSource:
    """timm's weights, as far as they lie on the Hub.

    Attributes:
        names: Patterns such as ``resnet50.*`` or ``*.a1_in1k``.
        pause: Seconds between two questions to the Hub.
    """

    names: tuple[str, ...]
    pause: float = 0.5

    @property
    def name(self) -> str:
        """``timm``."""
        return 'timm'

    def models(self) -> Iterator[TrainedModel]:
        """The weights that the patterns name, each once; the Hub is asked about each.

        Raises:
            CollectionError: If a pattern names nothing.
            UnreachableError: If the Hub does not answer.
        """
        import timm

        known = timm.list_pretrained(exclude_filters='geosane_*')
        for pattern in self.names:
            if not fnmatch.filter(known, pattern):
                raise CollectionError(
                    f'timm has no pretrained weights {pattern!r}' + did_you_mean(pattern, known)
                )
        hub = Hub(self.pause)
        for name in known:
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in self.names):
                yield self._model(hub, name)

    def _model(self, hub: Hub, tagged: str) -> TrainedModel:
        import timm

        name = f'{self.name}/{tagged}'
        config = timm.get_pretrained_cfg(tagged)
        if config is None or not config.hf_hub_id:
            return unavailable(name, 'timm', 'it does not lie on the Hub')
        place, _, revision = config.hf_hub_id.partition('@')
        licence = config.license

        def describe() -> TrainedModel:
            repository = hub.describe(place, revision or None)
            chosen = config.hf_hub_filename
            files = [chosen] if chosen else weights_files(repository.files, _FORMATS)
            if not files:
                raise CollectionError(f'{place!r} has no file with weights')
            return repository.model(
                files[0],
                name,
                modality='general',
                licence=licence,
                architecture=tagged.partition('.')[0],
            )

        return model_or_reason(describe, name, place)
