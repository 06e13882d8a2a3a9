"""Which weights mix: how alike their features are, and their values once units are in one order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from torchgeo_geosane.alignment import align, find_groups, recall, similarity
from torchgeo_geosane.errors import AlignmentError, GeoSANEError
from torchgeo_geosane.foundry.source import RenamedSource, TensorSource
from torchgeo_geosane.rank.contenders import Contender
from torchgeo_geosane.rank.features import Observed

# More rows tell little more, and their products grow with the square.
_ROWS = 1000
# Networks that were trained apart have cosines of .00 to .01 as they are, siblings .2 to .98.
_ONE_LINEAGE = 0.15
# What alignment finds must stand out from what it finds in noise.
_ABOVE_CHANCE = 0.05
_DIFFERENT = 0.7


@dataclass(frozen=True)
class Pair:
    """Two weights that compete, and what they have in common.

    Attributes:
        first: Name of the one.
        second: Name of the other.
        features: Linear CKA of their features: 0 is unrelated, 1 alike up to rotation and scale.
        before: Mean cosine of their values as they are; None for other architectures and for weights
            that are no plain prompts.
        after: The same once their units are in one order.
        chance: What a network of noise comes to; None where nothing had to move.
        advice: What to do with the two.
    """

    first: str
    second: str
    features: float
    before: float | None = None
    after: float | None = None
    chance: float | None = None
    advice: str = ''


def pairs(contenders: Sequence[Contender], observed: Mapping[str, Observed]) -> list[Pair]:
    """Compare every two of some weights.

    Args:
        contenders: The weights.
        observed: Their features, by the spec's URL.
    """
    grid = min(tuple(observed[each.spec.url].features.shape[1:3]) for each in contenders)
    rows = {each.spec.url: _rows(observed[each.spec.url].features, grid) for each in contenders}
    opened: dict[str, TensorSource] = {}
    return [_pair(one, other, rows, opened) for one, other in combinations(contenders, 2)]


def cka(one: Tensor, other: Tensor) -> float:
    """Linear centred kernel alignment (Kornblith et al. 2019), without the bias of few rows.

    Of many features and few rows the usual estimate is near 1 whatever the features are; this is the
    unbiased one (Song et al. 2012), which is about 0 for features that have nothing in common.

    Args:
        one: Features, float ``[n, d]``, of four rows or more.
        other: Features of the same rows, float ``[n, e]``.

    Returns:
        0 to 1; NaN where features never vary.
    """
    first, second = (_gram(each) for each in (one, other))
    size = (_hsic(first, first) * _hsic(second, second)).clamp(min=0).sqrt()
    return (_hsic(first, second) / size).clamp(0, 1).item() if size > 0 else float('nan')


def _gram(features: Tensor) -> Tensor:
    centred = (features - features.mean(0)).double()
    product = centred @ centred.T
    return product.fill_diagonal_(0)


def _hsic(first: Tensor, second: Tensor) -> Tensor:
    count = len(first)
    mixed = (first.sum(0) * second.sum(0)).sum()
    total = first.sum() * second.sum() / ((count - 1) * (count - 2))
    found = (first * second).sum() + total - 2 * mixed / (count - 2)
    return found / (count * (count - 3))


def _rows(features: Tensor, grid: tuple[int, ...]) -> Tensor:
    """Features of cells that all weights have in common, evenly thinned and scaled: ``[n, d]``."""
    pooled = adaptive_avg_pool2d(features.permute(0, 3, 1, 2), (grid[0], grid[1]))
    rows = pooled.permute(0, 2, 3, 1).flatten(0, 2)
    rows = rows[:: -(-len(rows) // _ROWS)]
    return rows / rows.std(0).clamp(min=1e-6)  # As probes see them.


def _pair(
    one: Contender, other: Contender, rows: Mapping[str, Tensor], opened: dict[str, TensorSource]
) -> Pair:
    alike = cka(rows[one.spec.url], rows[other.spec.url])
    pair = Pair(one.name, other.name, alike, advice=_of_features(alike))
    plain = one.kind == other.kind == 'prompt'
    if not plain or one.spec.architecture != other.spec.architecture:
        return pair
    try:
        before, after, chance = _values(one, other, opened)
    except GeoSANEError as error:
        return Pair(one.name, other.name, alike, advice=f'{pair.advice}; not aligned: {error}')
    advice = _of_values(before, after, chance)
    return Pair(one.name, other.name, alike, before, after, chance, f'{advice}; {pair.advice}')


def _values(
    one: Contender, other: Contender, opened: dict[str, TensorSource]
) -> tuple[float, float, float | None]:
    """Similarity of the values as they are, once aligned, and by chance."""
    (first,), (second,) = one.spec.resolve_prompts(), other.spec.resolve_prompts()
    for prompt in (first, second):
        if prompt.name not in opened:
            opened[prompt.name] = prompt.open()
    sources = [opened[first.name], opened[second.name]]
    common = [name for name in sources[0].names() if name in set(sources[1].names())]
    reference, source = (RenamedSource(each, {n: n for n in common}) for each in sources)
    before = similarity(source, reference)
    if before > _ONE_LINEAGE:
        return before, before, None
    groups = find_groups(one.spec.architecture)
    if not groups.groups:
        raise AlignmentError(f'no units of {one.spec.architecture!r} are known to move')
    identity = ['rank', one.spec.architecture, first.fingerprint, second.fingerprint]
    found = recall(identity, lambda: align(source, reference, groups))
    return found.before, found.after, found.chance


def _of_values(before: float, after: float, chance: float | None) -> str:
    if before > _ONE_LINEAGE:
        return 'mix: one lineage, in one order already'
    if chance is not None and after < chance + _ABOVE_CHANCE:
        return 'do not mix: aligned they are no more alike than noise'
    return 'mix with align=true: they are alike once units are in one order'


def _of_features(alike: float) -> str:
    if alike >= _DIFFERENT:
        return 'features alike: side by side they add little'
    return 'features differ: may add to each other side by side (geosane_ensemble)'
