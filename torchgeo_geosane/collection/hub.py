"""The Hugging Face Hub: asked one thing at a time, with a pause; files pinned by commit.

Files are downloaded into the Hub's own cache, where an interrupted download goes on and a finished
one is found without a network.
"""

import errno
import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from torchgeo_geosane.collection.base import CollectionError, Modality, TrainedModel, unavailable
from torchgeo_geosane.collection.formats import is_shard, shards_of
from torchgeo_geosane.collection.modality import guess_modality
from torchgeo_geosane.prompts.network import require_answer
from torchgeo_geosane.prompts.shards import is_index, read_index

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

T = TypeVar('T')

_TIMEOUT_SECONDS = 30
# After so many questions in a row without any answer the Hub is taken to be away.
_SILENCES = 3


class UnreachableError(CollectionError):
    """The Hub does not answer at all, so that asking it on is of no use."""


class DiskFullError(CollectionError):
    """There is no room for a download, so that going on is of no use."""


@dataclass(frozen=True)
class HubFile:
    """What the Hub says of a file: its size in bytes, and its sha256 where it is a large one."""

    size: int | None
    sha256: str | None


@dataclass(frozen=True)
class Repository:
    """What the Hub says of one commit of a repository of models.

    Attributes:
        name: ``owner/name``.
        revision: The commit, in hexadecimal.
        licence: As its card states it; None where it does not.
        task: What its models do, as the Hub calls it.
        tags: Its tags.
        files: Its files.
    """

    name: str
    revision: str
    licence: str | None
    task: str
    tags: tuple[str, ...]
    files: Mapping[str, HubFile]

    def model(
        self,
        file: str,
        name: str,
        *,
        modality: Modality | None = None,
        task: str | None = None,
        licence: str | None = None,
        architecture: str | None = None,
    ) -> TrainedModel:
        """One of the files as a model; what is not said is taken from the repository."""
        about = self.files.get(file, HubFile(None, None))
        parts = [self.files[part].size or 0 for part in shards_of(file, self.files)]
        return TrainedModel(
            name=name,
            package=self.name,
            version=self.revision,
            file=file,
            # The Hub hashes an index without the files that it names.
            sha256=None if is_index(file) else about.sha256,
            modality=modality or guess_modality(self.name, *self.tags),
            task=task or self.task,
            licence=licence or self.licence,
            architecture=architecture,
            size=about.size and about.size + sum(parts),
            fetch=functools.partial(fetch, self.name, self.revision, file),
        )


class Hub:
    """Asks the Hub, politely."""

    def __init__(self, pause: float) -> None:
        """Make sure that the Hub answers.

        Args:
            pause: Seconds between two questions.

        Raises:
            UnreachableError: If it does not.
        """
        from huggingface_hub import HfApi

        _require_hub('models to collect')
        self._api = HfApi()
        self._pause = pause
        self._described: dict[tuple[str, str | None], Repository] = {}
        self._silent = 0

    def search(self, words: str, limit: int) -> list[str]:
        """Names of the repositories of models that are most often downloaded of those found.

        Args:
            words: What to look for.
            limit: The most names to give.
        """
        return self._ask(
            lambda: [
                info.id
                for info in self._api.list_models(search=words, sort='downloads', limit=limit)
            ],
            f'for {words!r}',
        )

    def describe(self, name: str, revision: str | None = None) -> Repository:
        """What the Hub says of a repository, asked once.

        Raises:
            CollectionError: If it has vanished, or is not for everybody.
        """
        if (name, revision) not in self._described:
            self._described[name, revision] = self._ask(
                lambda: _repository(
                    self._api.model_info(
                        name, revision=revision, files_metadata=True, timeout=_TIMEOUT_SECONDS
                    )
                ),
                f'about {name!r}',
            )
        return self._described[name, revision]

    def _ask(self, question: Callable[[], T], what: str) -> T:
        from huggingface_hub.errors import HfHubHTTPError

        time.sleep(self._pause)
        try:
            answer = question()
        except Exception as error:  # The Hub's client and its HTTP client have errors of their own.
            # What is said is wrong or a refusal (a page to log in, say), but something answers.
            answered = isinstance(error, HfHubHTTPError | ValueError | TypeError | LookupError)
            self._silent = 0 if answered else self._silent + 1
            if self._silent >= _SILENCES:
                raise _unreachable(what, error) from error
            raise CollectionError(f'the Hub, asked {what}, says: {_first_line(error)}') from error
        self._silent = 0
        return answer


def fetch(repository: str, revision: str, file: str) -> Path:
    """The local copy of a file, downloaded if the Hub's cache does not have it.

    With the index of a model in several files come the files that it names.

    Raises:
        CollectionError: If it cannot be had.
    """
    if is_shard(file):
        raise CollectionError('it is one of several files of a model whose index is not there')
    path = _fetch_file(repository, revision, file)
    if is_index(file):
        for part in sorted(set(read_index(path).values())):
            _fetch_file(repository, revision, PurePosixPath(file).with_name(part).as_posix())
    return path


def _fetch_file(repository: str, revision: str, file: str) -> Path:
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    cached = try_to_load_from_cache(repository, file, revision=revision)
    if isinstance(cached, str):
        return Path(cached)
    what = f'{file} of {repository}@{revision[:7]}'
    _require_hub(what)
    try:
        return Path(hf_hub_download(repository, file, revision=revision))
    except Exception as error:  # Many kinds, which all mean that it was not fetched.
        if getattr(error, 'errno', None) == errno.ENOSPC:
            raise DiskFullError(
                f'no room on the disk for {what}: make room and run again; '
                'what has been downloaded is kept'
            ) from error
        raise CollectionError(f'{what} could not be fetched: {_first_line(error)}') from error


def model_or_reason(describe: Callable[[], TrainedModel], name: str, package: str) -> TrainedModel:
    """What ``describe`` gives; where the Hub will not tell, a model that says so when fetched.

    Raises:
        UnreachableError: If the Hub does not answer at all.
    """
    try:
        return describe()
    except UnreachableError:
        raise
    except CollectionError as error:
        return unavailable(name, package, str(error))


def _repository(info: 'ModelInfo') -> Repository:
    card: Any = info.card_data
    licence = getattr(card, 'license', None)
    if licence == 'other':
        licence = getattr(card, 'license_name', None)
    files = {
        file.rfilename: HubFile(file.size, file.lfs.sha256 if file.lfs else None)
        for file in info.siblings or []
    }
    return Repository(
        name=info.id,
        revision=str(info.sha),
        licence=str(licence) if licence else None,
        task=info.pipeline_tag or 'unknown',
        tags=tuple(info.tags or ()),
        files=files,
    )


@functools.cache  # An error is not remembered: it is asked again.
def _answers(endpoint: str) -> None:
    require_answer(endpoint)


def _require_hub(what: str) -> None:
    from huggingface_hub import constants

    try:
        if constants.HF_HUB_OFFLINE:
            raise ConnectionError('HF_HUB_OFFLINE is set')
        _answers(constants.ENDPOINT)
    except OSError as error:
        raise _unreachable(f'for {what}', error) from error


def _unreachable(what: str, error: Exception) -> UnreachableError:
    return UnreachableError(
        f'the Hugging Face Hub cannot be asked {what}: {_first_line(error)}. What needs no network: '
        "the sources 'packages' and 'folders', and a manifest whose files are in the Hub's cache"
    )


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return f'{type(error).__name__}: {lines[0]}' if lines else type(error).__name__
