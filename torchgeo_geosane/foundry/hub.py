"""Foundries on the Hugging Face Hub: ``owner/name``, optionally ``@revision``.

The offline cache is asked first; a download says its size before it begins.
"""

import fnmatch
import logging
import re
from pathlib import Path

from torchgeo_geosane.foundry.errors import FoundryError

logger = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 10
# The Hub's own rules for names; a path such as '../foundry' is none of them.
_PART = re.compile(r'[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?')
_REVISION = re.compile(r'[A-Za-z0-9_][A-Za-z0-9_./-]{0,254}')
# What a foundry consists of; the optimizer's share of state.pt cannot be left behind, other files
# can.
_PATTERNS = ('*params.json', '*state.pt', '*.safetensors')


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

    Raises:
        FoundryError: If it cannot be reached or has no foundry in it.
    """
    from huggingface_hub import snapshot_download

    repository, _, revision = name.partition('@')
    revision_or_main = revision or None
    try:
        snapshot = Path(
            snapshot_download(
                repository,
                revision=revision_or_main,
                allow_patterns=list(_PATTERNS),
                local_files_only=True,
            )
        )
        if _has_weights(snapshot):
            return snapshot
    except Exception as error:  # Many kinds, which all mean that it is not in the cache: fetch it.
        logger.debug('%s is not in the cache: %s', name, error)
    try:
        _announce(repository, revision_or_main)
        return Path(
            snapshot_download(repository, revision=revision_or_main, allow_patterns=list(_PATTERNS))
        )
    except Exception as error:  # Many kinds, which all mean that it was not fetched.
        raise FoundryError(
            f'the foundry {name!r} is no path here, not in the local Hub cache, and could not be '
            f'fetched ({type(error).__name__}: {error}). Without a network use foundry=embedded, '
            'or copy the repository (params.json and its state.pt or safetensors) and give its '
            'folder as the foundry.'
        ) from error


def pinned_revision(name: str) -> str:
    """The commit a Hub name stands for: from the local cache if there, else asked of the Hub."""
    return f'{name.partition("@")[0]}@{locate_on_hub(name).name}'


def _has_weights(snapshot: Path) -> bool:
    return any(
        fnmatch.fnmatch(file.name, pattern)
        for file in snapshot.rglob('*')
        for pattern in _PATTERNS[1:]
    )


def _announce(repository: str, revision: str | None) -> None:
    from huggingface_hub import HfApi

    info = HfApi().model_info(
        repository, revision=revision, files_metadata=True, timeout=_TIMEOUT_SECONDS
    )
    files = info.siblings or []
    size = sum(
        file.size or 0
        for file in files
        if any(fnmatch.fnmatch(file.rfilename, pattern) for pattern in _PATTERNS)
    )
    logger.warning('Fetching the foundry %s from the Hub: %.1f GB, once.', repository, size / 1e9)
