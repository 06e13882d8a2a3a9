"""Foundries on the Hugging Face Hub: ``owner/name``, optionally ``@revision``.

The offline cache is asked first; a download says its size before it begins.
"""

import fnmatch
import logging
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from torchgeo_geosane.foundry.errors import FoundryError

logger = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 10
# The Hub's own rules for names; a path such as '../foundry' is none of them.
_PART = re.compile(r'[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?')
_REVISION = re.compile(r'[A-Za-z0-9_][A-Za-z0-9_./-]{0,254}')
# Where a foundry's weights may lie, best first: an optimizer's share of state.pt cannot be left behind.
_WEIGHTS = ('model.safetensors', 'state.pt', '*.safetensors')
_PARAMETERS = 'params.json'


def is_hub_name(name: str) -> bool:
    """Whether a name has the form of a Hub repository."""
    repository, _, revision = name.partition('@')
    parts = repository.split('/')
    return (
        len(parts) == 2
        and all(map(_PART.fullmatch, parts))
        and len(repository) <= 96
        and not {'--', '..'} & {repository[i : i + 2] for i in range(len(repository))}
        and (revision == '' if '@' not in name else _REVISION.fullmatch(revision) is not None)
    )


def locate_on_hub(name: str) -> Path:
    """The local snapshot of a Hub repository, downloaded if it is not in the Hub's cache.

    The Hub is asked what is there: one file of weights is fetched and the parameters beside it, and
    said before it begins, with its size.

    Raises:
        FoundryError: If it cannot be reached or has no foundry in it.
    """
    snapshot = find_snapshot(name)
    if snapshot is not None:
        return snapshot
    from huggingface_hub import snapshot_download

    repository, _, revision = name.partition('@')
    try:
        files = _ask(repository, revision or None)
        wanted = choose_files(name, files)
        _announce(repository, wanted, files)
        return Path(snapshot_download(repository, revision=revision or None, allow_patterns=wanted))
    except FoundryError:
        raise
    except Exception as error:  # Many kinds, which all mean that it was not fetched.
        raise FoundryError(
            f'the foundry {name!r} is no path here, not in the local Hub cache, and could not be '
            f'fetched ({type(error).__name__}: {error}). Without a network use foundry=embedded, '
            'or copy the repository (params.json and its state.pt or safetensors) and give its '
            'folder as the foundry.'
        ) from error


def find_snapshot(name: str) -> Path | None:
    """The local snapshot of a Hub repository, if it is in the Hub's cache; nothing is fetched."""
    from huggingface_hub import snapshot_download

    repository, _, revision = name.partition('@')
    try:
        snapshot = Path(
            snapshot_download(repository, revision=revision or None, local_files_only=True)
        )
    except Exception as error:  # Many kinds, which all mean that it is not in the cache.
        logger.debug('%s is not in the cache: %s', name, error)
        return None
    files = [str(file.relative_to(snapshot)) for file in snapshot.rglob('*')]
    return snapshot if _weights_among(files) else None


def pinned_revision(name: str) -> str:
    """The commit a Hub name stands for: from the local cache if there, else asked of the Hub."""
    return f'{name.partition("@")[0]}@{locate_on_hub(name).name}'


def choose_files(name: str, files: Collection[str]) -> list[str]:
    """What to fetch of a repository: the weights, of several checkpoints the last, and all parameters.

    Raises:
        FoundryError: If no foundry is among the files; those that are there are named.
    """
    weights = _weights_among(files)
    if weights is None:
        raise FoundryError(
            f'the repository {name!r} holds no foundry, neither a .safetensors file nor a state.pt; '
            f'it holds {", ".join(sorted(files)) or "nothing"}'
        )
    return [weights, *sorted(file for file in files if Path(file).name == _PARAMETERS)]


def _weights_among(files: Collection[str]) -> str | None:
    for pattern in _WEIGHTS:
        found = sorted(file for file in files if fnmatch.fnmatch(Path(file).name, pattern))
        if found:
            return found[-1]
    return None


def _ask(repository: str, revision: str | None) -> dict[str, int]:
    """The files of a repository, and their sizes in bytes."""
    from huggingface_hub import HfApi

    info = HfApi().model_info(
        repository, revision=revision, files_metadata=True, timeout=_TIMEOUT_SECONDS
    )
    return {file.rfilename: file.size or 0 for file in info.siblings or []}


def _announce(repository: str, wanted: Iterable[str], files: Mapping[str, int]) -> None:
    logger.warning(
        'Fetching the foundry %s from the Hub, once: %s',
        repository,
        ', '.join(f'{file} ({_size(files[file])})' for file in wanted),
    )


def _size(size: int) -> str:
    return f'{size / 1e9:.1f} GB' if size >= 1e8 else f'{size / 1e6:.1f} MB'
