"""Weight matching: bring a network's units into the order of another's (Git Re-Basin).

Ainsworth et al. 2023, arXiv:2209.04836. Group by group the units are assigned to those of the
reference that they resemble most (a linear assignment), with all other groups as they are by then,
until none moves any more. What grows with every step is the sum, over all tensors, of the cosine
between both networks, times their size.

Before that a wave goes through the network, from its input, whose channels have an order: in it each
group is matched by those values alone whose other side is matched already. Begun with all values at
once, which are noise as long as the other side is in another order, the search ends in poor optima.
"""

import math
from collections import defaultdict
from collections.abc import Container

import torch
from torch import Tensor

from torchgeo_geosane.alignment.assignment import assign, worth_of
from torchgeo_geosane.alignment.groups import Axis, Group, Groups, Part, Use
from torchgeo_geosane.errors import AlignmentError
from torchgeo_geosane.foundry.source import TensorSource, all_finite

# Most pairs need three to six rounds over all groups; a round that gains less than this share of the
# likeness is the last.
_ROUNDS, _LEAST_GAIN = 12, 1e-3
# A group is in order already where its units, as they stand, resemble the reference's so much of what
# the best order would give. Of networks finetuned from one start, few groups come below .95; where
# orders are unrelated, units that stay resemble as much as chance has it: about 0.
_IN_ORDER = 0.8
# Statistics of activations speak of the data as much as of the network.
_STATISTICS = ('running_mean', 'running_var')


def match(source: TensorSource, reference: TensorSource, groups: Groups) -> dict[Axis, Tensor]:
    """Find the order of a network's units in which it resembles another most.

    Args:
        source: The network.
        reference: Another of the same architecture. A tensor of another shape does not count.
        groups: What may move.

    Returns:
        What is to stand at each place, for every dimension that changes.

    Raises:
        AlignmentError: If a tensor holds NaN or infinite values.
    """
    matching = _Matching(source, reference, groups)
    matching.wave()
    for _ in range(_ROUNDS):
        gains = [matching.improve(number) for number in range(len(groups.groups))]
        if sum(gains) <= _LEAST_GAIN * sum(matching.likeness.values()):
            break
    return {
        axis: places
        for axis, places in matching.places.items()
        if not torch.equal(places, torch.arange(len(places)))
    }


class _Matching:
    """A network on its way into the order of a reference."""

    def __init__(self, source: TensorSource, reference: TensorSource, groups: Groups) -> None:
        self.places: dict[Axis, Tensor] = {}
        self._source = source
        self._reference = reference
        self._groups = groups
        self._scales: dict[str, float] = {}
        self._dims: dict[str, set[int]] = defaultdict(set)
        for name, dim in groups.by_axis:
            self._dims[name].add(dim)
        # The groups that have been matched.
        self._matched: set[int] = set()
        # How much each group resembles the reference's.
        self.likeness: dict[int, float] = {}
        # How often each dimension has changed, and what a group saw of this when it was matched.
        self._changes: dict[Axis, int] = defaultdict(int)
        self._seen: dict[int, list[int]] = {}

    def wave(self) -> None:
        """Match every group once, those first of which most is known."""
        waiting = dict.fromkeys(range(len(self._groups.groups)))
        while waiting:
            number = max(waiting, key=self._known_share)
            del waiting[number]
            group = self._groups.groups[number]
            known = {use for part in group.parts for use in part.uses if self._is_known(use)}
            whole = not any(len(self._source.shape(use.tensor)) > 1 for use in known)
            self._improve(group, None if whole else known)
            self._matched.add(number)

    def _known_share(self, number: int) -> float:
        """Which share of a group's values lies between it and groups that are matched."""
        uses = [use for part in self._groups.groups[number].parts for use in part.uses]
        sizes = {use: math.prod(self._source.shape(use.tensor)) for use in uses}
        known = sum(size for use, size in sizes.items() if size > use.size and self._is_known(use))
        return known / max(sum(sizes.values()), 1)

    def _is_known(self, use: Use) -> bool:
        others = self._dims[use.tensor] - {use.dim}
        return all(
            number in self._matched
            for dim in others
            for number in self._groups.by_axis[use.tensor, dim]
        )

    def improve(self, number: int) -> float:
        """Match one group by all its values, and say what that has gained."""
        group = self._groups.groups[number]
        seen = [
            self._changes[name, other]
            for name, dim in group.axes
            for other in sorted(self._dims[name] - {dim})
        ]
        if self._seen.get(number) == seen:
            return 0.0  # It would be matched as before.
        self._seen[number] = seen
        gain, self.likeness[number] = self._improve(group)
        return gain

    def _improve(self, group: Group, known: Container[Use] | None = None) -> tuple[float, float]:
        """Match one group; what that has gained, and how much it then resembles the reference's."""
        likeness = [self._likeness(part, known) for part in group.parts]
        before = sum(each.trace().item() for each in likeness)
        has_moved = self._changes[group.axes[0]] > 0
        bound = sum(each.amax(0).sum().item() for each in likeness)
        if before >= bound or (not has_moved and before >= _IN_ORDER * bound):
            return 0.0, before
        orders = assign(likeness, group.sets, settle=has_moved)
        after = sum(map(worth_of, likeness, orders))
        stays = all(order.equal(torch.arange(len(order))) for order in orders)
        if stays or after <= before or (not has_moved and before >= _IN_ORDER * after):
            return 0.0, before
        group.move(self.places, orders)
        for axis in group.axes:
            self._changes[axis] += 1
        return after - before, after

    def _likeness(self, part: Part, known: Container[Use] | None) -> Tensor:
        """How much each unit resembles each of the reference's, by some uses: ``[count, count]``."""
        total = torch.zeros(part.count, part.count, dtype=torch.float32)
        for use in part.uses:
            counts = known is None or use in known
            if counts and use.tensor and not use.tensor.endswith(_STATISTICS):
                scale = self._scale(use.tensor)
                if scale:
                    ours, theirs = self._read(use, self._source), self._read(use, self._reference)
                    total.addmm_(ours, theirs.T, alpha=scale)
        return total

    def _scale(self, name: str) -> float:
        """What makes the product of a tensor with the reference's a cosine; 0 where it means nothing."""
        if name not in self._scales:
            norms = []
            for source in (self._source, self._reference):
                tensor = read_finite(source, name)
                norms.append(tensor.double().norm().item())
            same = self._source.shape(name) == self._reference.shape(name)
            product = norms[0] * norms[1]
            self._scales[name] = tensor.numel() / product if same and product else 0.0
        return self._scales[name]

    def _read(self, use: Use, source: TensorSource) -> Tensor:
        """A tensor's values by unit, ours as they stand by now: float32 ``[count, n]``."""
        tensor = source.read(use.tensor).float()
        if source is self._source:
            for dim in self._dims[use.tensor]:
                places = self.places.get((use.tensor, dim))
                if places is not None:
                    tensor = tensor.index_select(dim, places)
        rows = tensor.movedim(use.dim, 0).index_select(0, use.places.flatten())
        return rows.reshape(len(use.places), -1)


def read_finite(source: TensorSource, name: str) -> Tensor:
    """One tensor, whose values are numbers.

    Raises:
        AlignmentError: If it holds NaN or infinite values.
    """
    tensor = source.read(name)
    if tensor.is_floating_point() and not all_finite(tensor):
        raise AlignmentError(f'tensor {name!r} holds NaN or infinite values: it cannot be aligned')
    return tensor
