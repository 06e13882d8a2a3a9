"""Which unit gets which place: linear assignments, also of units that fall into sets."""

from collections.abc import Sequence

import torch
from torch import Tensor

# Units that resemble others equally, such as dead ones, stay where they are.
_TIE = 1e-6
# Rounds of bids: more would take as long as they save.
_BIDS = 10


def assign(likeness: Sequence[Tensor], sets: int = 1, settle: bool = False) -> list[Tensor]:
    """The orders of a group's parts in which they resemble the reference most.

    Args:
        likeness: Of every part, how much each unit (row) resembles each of the reference's; what
            makes units stay where it makes no difference is added in place.
        sets: Into how many sets the units of each part fall, which move as a whole.
        settle: Whether units stay that prefer their place, whose place prefers them: then the result
            is only nearly the best, in a fraction of the time. For groups that were assigned before.

    Returns:
        For every part which unit each place gets: int64 ``[count]``.
    """
    for each in likeness:
        low, high = each.aminmax()
        each.diagonal().add_(_TIE * (high - low))
    if sets == 1:
        return [_solve_unsettled(each) if settle else _solve(each) for each in likeness]
    return _assign_sets(likeness, sets)


def _assign_sets(likeness: Sequence[Tensor], sets: int) -> list[Tensor]:
    """The best orders of units whose sets move as a whole.

    What one set is worth in another's place takes an assignment to know, but it is at most what its
    units come to if each may choose. Assigned by that, and by what is known of the pairs that were
    chosen before, the sets are in their best places as soon as all that are chosen are known.
    """
    blocks = [each.view(sets, len(each) // sets, sets, -1).transpose(1, 2) for each in likeness]
    free = [torch.minimum(each.amax(2).sum(2), each.amax(3).sum(2)) for each in blocks]
    worth = torch.stack(free).sum(0, dtype=torch.float64)
    known: dict[tuple[int, int], list[Tensor]] = {}
    while True:
        chosen = [(i, j) for j, i in enumerate(_solve(worth).tolist())]
        unknown = [pair for pair in chosen if pair not in known]
        if not unknown:
            break
        for i, j in unknown:
            known[i, j] = [_solve(each[i, j]) for each in blocks]
            worth[i, j] = sum(map(worth_of, (each[i, j] for each in blocks), known[i, j]))
    return [
        torch.cat([known[i, j][part] + i * each.shape[2] for i, j in chosen])
        for part, each in enumerate(blocks)
    ]


def worth_of(likeness: Tensor, order: Tensor) -> float:
    """What an order comes to: the likeness of all units to the places that they get."""
    return likeness[order, torch.arange(len(order))].sum().item()


def _solve_unsettled(likeness: Tensor) -> Tensor:
    """An assignment in which units stay that are where they, and their place, prefer them to be."""
    order = torch.arange(len(likeness))
    settled = (likeness.argmax(0) == order) & (likeness.argmax(1) == order)
    rest = order[~settled]
    if len(rest) > 1:
        order[rest] = rest[_solve(likeness[rest][:, rest])]
    return order


def _solve(likeness: Tensor) -> Tensor:
    """For each column the row that it gets."""
    # Takes longer to import than the package, which few import to align.
    from scipy.optimize import linear_sum_assignment

    if len(likeness) == 1:
        return torch.zeros(1, dtype=torch.int64)
    # By the reference's units, whose likeness to their best is the least: a third of the time.
    wanted = likeness.T.contiguous()
    wanted -= wanted.amax(1, keepdim=True)
    wanted -= _prices(wanted)
    cost = wanted.double().neg_()
    cost -= cost.amin(1, keepdim=True)
    return torch.from_numpy(linear_sum_assignment(cost.numpy())[1])


def _prices(wanted: Tensor) -> Tensor:
    """What to ask for each column so that about as many rows want it as can have it: ``[columns]``.

    With it taken off the best assignment is the same, found in half of the time. An auction of a few
    rounds (Bertsekas): every row without a column bids for the one that gains it most, up to where
    its second choice would gain it as much.
    """
    prices = wanted.amax(0)
    owner = torch.full_like(prices, -1, dtype=torch.int64)
    waiting = torch.arange(len(wanted))
    for _ in range(_BIDS):
        gains = wanted[waiting] - prices
        first, column = gains.max(1)
        gains.scatter_(1, column.unsqueeze(1), -torch.inf)
        bids = first - gains.amax(1)
        highest = torch.zeros_like(prices).scatter_reduce_(0, column, bids, 'amax')
        wins = bids == highest[column]
        owner[column[wins]] = waiting[wins]
        prices += highest
        has_none = torch.ones(len(wanted), dtype=torch.bool)
        has_none[owner[owner >= 0]] = False
        waiting = has_none.nonzero().squeeze(1)
        if not len(waiting):
            break
    return prices
