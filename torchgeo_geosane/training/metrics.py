"""Relative errors ``|y - x| / |x|``, by model and by kind of layer."""

import time
from collections.abc import Iterable, Sequence

import torch
from lightning import LightningModule
from torch import Tensor

from torchgeo_geosane.collection import ManifestEntry
from torchgeo_geosane.foundry.autoencoder import N_LAYER_TYPES
from torchgeo_geosane.training.families import family_of
from torchgeo_geosane.training.store import TokenBatch

# Names of the kinds of layer, in the order of ``foundry.layout.layer_kind``.
KINDS = (
    'conv1d',
    'conv2d',
    'conv3d',
    'linear',
    'embedding',
    'batchnorm',
    'layernorm',
    'norm',
    'vector',
)


class ErrorSums:
    """Sums of squares over the real entries of windows, for each model and kind of layer.

    Attributes:
        errors: Of the differences, float64 ``[models, kinds]``.
        sizes: Of the targets, same shape.
    """

    def __init__(self, models: int) -> None:
        """Start with nothing, for so many models."""
        self.errors = torch.zeros(models, N_LAYER_TYPES, dtype=torch.float64)
        self.sizes = torch.zeros_like(self.errors)

    def add(self, output: Tensor, batch: TokenBatch) -> None:
        """Take in the reconstruction of a batch: float32 ``[batch, window, token_size]``."""
        cells = (batch['model'].unsqueeze(-1) * N_LAYER_TYPES + batch['kinds']).flatten().cpu()
        errors = ((output - batch['tokens']) * batch['mask']).square().sum(-1)
        for sums, squares in ((self.errors, errors), (self.sizes, batch['size'])):
            sums.view(-1).index_add_(0, cells, squares.flatten().cpu().double())

    def sum_over_processes(self, task: LightningModule) -> None:
        """Give every process the sums of all of them."""
        for sums in (self.errors, self.sizes):
            # float32, as not every device has float64; and on the device, as NCCL knows no other.
            moved = sums.to(task.device, torch.float32)
            sums.copy_(task.trainer.strategy.reduce(moved, reduce_op='sum'))


class Throughput:
    """Windows and tokens per second since it was made."""

    def __init__(self) -> None:
        """Start the clock."""
        self._windows = 0
        self._tokens: list[Tensor] = []
        self._start = time.perf_counter()

    def add(self, batch: TokenBatch) -> None:
        """Count a batch; padding is no token."""
        self._windows += len(batch['tokens'])
        self._tokens.append(batch['mask'].any(-1).sum())

    def rates(self, processes: int) -> dict[str, float]:
        """The rates of so many processes that work as fast as this one."""
        seconds = time.perf_counter() - self._start
        tokens = int(torch.stack(self._tokens).sum())
        counts = {'windows': self._windows, 'tokens': tokens}
        return {f'throughput/{name}': processes * count / seconds for name, count in counts.items()}


def relative_errors(sums: ErrorSums, entries: Sequence[ManifestEntry]) -> dict[str, float]:
    """The errors to log of what was measured: per split, and in it per kind, family and modality.

    Args:
        sums: The squares.
        entries: The models, one for each row.

    Returns:
        ``relative_error/trained``, ``relative_error/held_out/modality/sar`` and so on.
    """
    found = {}
    for split in ('trained', 'held_out'):
        rows = [i for i, entry in enumerate(entries) if entry.split == split]
        found[split] = _relative(sums, rows)
        for number, kind in enumerate(KINDS):
            found[f'{split}/kind/{kind}'] = _relative(sums, rows, [number])
        for title, name_of in (('family', family_of), ('modality', lambda entry: entry.modality)):
            groups: dict[str, list[int]] = {}
            for row in rows:
                groups.setdefault(name_of(entries[row]), []).append(row)
            for name in sorted(groups):
                found[f'{split}/{title}/{name}'] = _relative(sums, groups[name])
    return {f'relative_error/{name}': error for name, error in found.items() if error is not None}


def _relative(
    sums: ErrorSums, rows: Iterable[int], kinds: Sequence[int] = range(N_LAYER_TYPES)
) -> float | None:
    """The error over some rows and columns; None where nothing was measured."""
    error, size = (part[list(rows)][:, list(kinds)].sum() for part in (sums.errors, sums.sizes))
    return float((error / size).sqrt()) if size > 0 else None
