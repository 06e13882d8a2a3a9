"""Files that appear whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from torchgeo_geosane.errors import CacheError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Write a file so that ``path`` holds either what it held before or the whole new content.

    Args:
        path: The file; its folder is made.

    Yields:
        A provisional path beside it, to be written; it takes the place of ``path`` once it is on
        the disk.

    Raises:
        CacheError: If the disk refuses. Whatever goes wrong, nothing is left behind.
    """
    provisional = path.with_name(f'{path.name}.{os.getpid()}.part')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        provisional.touch()
        mode = provisional.stat().st_mode
        yield provisional
        # safetensors makes files that nobody but their owner reads: give them the usual mode.
        provisional.chmod(mode)
        with provisional.open('rb') as file:
            os.fsync(file.fileno())
        provisional.replace(path)
    # torch.save reports a full disk as a RuntimeError.
    except (OSError, SafetensorError, RuntimeError) as error:
        raise CacheError(f'cannot write {path}: {error}') from error
    finally:
        with suppress(OSError):
            provisional.unlink()
