"""Loading batches in worker processes."""

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader

from torchgeo_geosane.errors import DataError


def reading_ahead(num_workers: int) -> dict[str, Any]:
    """Options of a loader that keeps a device busy: pinned memory, workers that live on and read ahead.

    Args:
        num_workers: Worker processes.
    """
    return {
        'num_workers': num_workers,
        'pin_memory': torch.cuda.is_available(),
        'persistent_workers': num_workers > 0,
        'prefetch_factor': 4 if num_workers > 0 else None,
    }


class GuardedLoader(DataLoader[dict[str, Any]]):
    """A data loader that says what it means when a worker process dies.

    PyTorch notices, but by what is a matter of the moment: a dead worker or a broken connection.
    """

    def __iter__(self) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        """Load one epoch.

        Raises:
            DataError: If a worker process was killed.
        """
        batches = super().__iter__()
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except (ConnectionError, EOFError, RuntimeError) as error:
                if isinstance(error, RuntimeError) and 'DataLoader worker' not in str(error):
                    raise
                raise DataError(
                    f'a worker process that loads chips was killed ({error}), by the system if '
                    'memory ran out: lower num_workers or batch_size, and start again'
                ) from error
            yield batch
