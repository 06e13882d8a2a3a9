"""What a foundry knows of single architectures: on what it was trained, and how it draws their networks.

In a foundry's file the records are JSON in the header, and their tensors lie beside the autoencoder's
under ``architectures.<number>.``. They are read when they are asked for.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor

from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.foundry.density import LatentDensity
from torchgeo_geosane.foundry.errors import FoundryError, TokenError
from torchgeo_geosane.foundry.files import telling
from torchgeo_geosane.foundry.layout import Layout, Segment
from torchgeo_geosane.foundry.places import PlaceCode
from torchgeo_geosane.foundry.records import parse
from torchgeo_geosane.foundry.source import RenamedSource, StateDictSource, TensorSource, all_finite

# Under which name the header has the records, and what the names of their tensors begin with.
HEADER = 'architectures'
_PREFIX = 'architectures.'
_REFERENCE = 'reference.'
_CODE = ('places.mean', 'places.rotation')
_DENSITY = ('density.mean', 'density.factors')
# Of more directions than this no density is: it would be the collection itself.
_MOST_FACTORS = 1024
_FLOATING = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class FunctionKept:
    """What networks do after they went through a foundry, where somebody has measured it.

    Attributes:
        measure: What was measured, e.g. ``accuracy on seven classes``.
        original: Of held-out networks as they are.
        decoded: Of the same, encoded and decoded.
        drawn: Of networks drawn without a prompt.
    """

    measure: str
    original: float
    decoded: float
    drawn: float | None = None


@dataclass(frozen=True)
class Record:
    """What the header says of an architecture.

    Attributes:
        architecture: Its name, as far as known; else the first of its models.
        shapes: Shapes of the floating-point tensors of its models, in order.
        trained: Models that were trained on.
        held_out: Models that were only judged by.
        lineages: Starts that the trained ones come from.
        error: Mean error of reconstruction of the trained ones; None where none was measured.
        held_out_error: The same of those held out.
        reference: A model in the order in which all are read: the one that they were aligned to or,
            where none like it is drawn, the one most like those that are. None where they are in no
            common order.
        function: What networks do after they went through the foundry; None where nobody looked.
        draws_not: Why it cannot draw without a prompt; None where it can.
    """

    architecture: str
    shapes: Mapping[str, tuple[int, ...]] = field(repr=False)
    trained: int
    held_out: int
    lineages: int
    error: float | None = None
    held_out_error: float | None = None
    reference: str | None = None
    function: FunctionKept | None = None
    draws_not: str | None = None


@dataclass(frozen=True)
class Known:
    """What a foundry knows of an architecture.

    Attributes:
        record: What the header says.
        layout: Where each tensor sits in its token sequence.
        source: The tensors; the names are those in the file, without the prefix.
    """

    record: Record
    layout: Layout = field(repr=False)
    source: TensorSource = field(repr=False)

    @classmethod
    def of(
        cls,
        record: Record,
        config: FoundryConfig,
        *,
        places: PlaceCode | None = None,
        density: LatentDensity | None = None,
        reference: Mapping[str, Tensor] | None = None,
    ) -> 'Known':
        """Put together what was found out about an architecture."""
        tensors: dict[str, Tensor] = {}
        if places is not None:
            tensors |= dict(zip(_CODE, (places.mean, places.rotation), strict=True))
        if density is not None:
            tensors |= dict(zip(_DENSITY, (density.mean, density.factors), strict=True))
        tensors |= {_REFERENCE + name: tensor for name, tensor in (reference or {}).items()}
        return cls(record, _plan(record, config), StateDictSource(tensors))

    @property
    def places(self) -> PlaceCode | None:
        """How its tokens are coded; None where they are not."""
        return PlaceCode(*map(self._read, _CODE)) if self._has(_CODE) else None

    @property
    def density(self) -> LatentDensity | None:
        """What its networks are drawn from; None where they cannot be drawn without a prompt."""
        return LatentDensity(*map(self._read, _DENSITY)) if self._has(_DENSITY) else None

    @property
    def reference(self) -> TensorSource | None:
        """The tensors of its reference; None where they are not kept."""
        names = {name: _REFERENCE + name for name in self.record.shapes}
        held = set(self.source.names())
        return RenamedSource(self.source, names) if names and held >= {*names.values()} else None

    def find(self, layout: Layout) -> Tensor:
        """Its places at which the tokens of another layout lie: int64 ``[n]``, -1 for those of none.

        Tensors are told by name and shape: heads may be missing, stems see other bands.
        """
        own = {_identity(segment): segment for segment in self.layout.segments}
        found = torch.full((len(layout),), -1)
        for segment in layout.segments:
            same = own.get(_identity(segment))
            if same is not None:
                found[segment.start : segment.stop] = torch.arange(same.start, same.stop)
        return found

    def _has(self, names: Sequence[str]) -> bool:
        return {*names} <= {*self.source.names()}

    def _read(self, name: str) -> Tensor:
        tensor = self.source.read(name).float()
        if not all_finite(tensor):
            raise FoundryError(
                f'the foundry is damaged: {name!r} of {self.record.architecture!r} holds NaN or '
                'infinite values'
            )
        return tensor


def to_file(known: Sequence[Known]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the header's strings that stand for what a foundry knows."""
    if not known:
        return {}, {}
    tensors = {
        f'{_PREFIX}{number}.{name}': each.source.read(name).detach().cpu().contiguous()
        for number, each in enumerate(known)
        for name in each.source.names()
    }
    return tensors, {HEADER: json.dumps([asdict(each.record) for each in known])}


def is_known(name: str) -> bool:
    """Whether a tensor of a file belongs to what the foundry knows, not to its autoencoder."""
    return name.startswith(_PREFIX)


def from_file(source: TensorSource, text: str | None, config: FoundryConfig) -> tuple[Known, ...]:
    """Read what :func:`to_file` gave, without reading tensors.

    Args:
        source: The file.
        text: What the header has under ``HEADER``.
        config: The foundry's, which the tensors' shapes follow from.

    Raises:
        FoundryError: If it contradicts itself; the tensor or the field is named.
    """
    with telling(FoundryError, 'what the foundry says of its architectures cannot be read'):
        records: tuple[Record, ...] = parse(tuple[Record, ...], json.loads(text or '[]'))
    found = []
    owners = dict.fromkeys(filter(is_known, source.names()))
    for number, record in enumerate(records):
        prefix = f'{_PREFIX}{number}.'
        names = {name.removeprefix(prefix): name for name in owners if name.startswith(prefix)}
        owners = {name: None for name in owners if not name.startswith(prefix)}
        with telling(FoundryError, f'what the foundry knows of {record.architecture!r}'):
            known = Known(record, _plan(record, config), RenamedSource(source, names))
        _check(known, config)
        found.append(known)
    if owners:
        raise FoundryError(f'the foundry holds an unknown tensor {min(owners)!r}')
    return tuple(found)


def find_known(known: Sequence[Known], layout: Layout) -> tuple[Known, Tensor] | None:
    """The architecture most of whose places a layout has, and which these are; None without any."""
    matches = [(each, each.find(layout)) for each in known]
    best = max(matches, key=lambda match: int((match[1] >= 0).sum()), default=None)
    return best if best is not None and bool((best[1] >= 0).any()) else None


def _check(known: Known, config: FoundryConfig) -> None:
    """Make sure that the tensors are those that the record and the configuration ask for."""
    if any(side < 0 for shape in known.record.shapes.values() for side in shape):
        raise FoundryError(f'the record of {known.record.architecture!r} has a shape below 0')
    tokens, token, latent = len(known.layout), config.token_size, config.latent_dim
    source, what = known.source, known.record.architecture
    held = set(source.names())
    factors = source.shape(_DENSITY[1])[:1] if _DENSITY[1] in held else (0,)
    wanted: dict[str, tuple[int, ...]] = {
        _CODE[0]: (tokens, token),
        _CODE[1]: (tokens, token, token),
        _DENSITY[0]: (tokens, latent),
        _DENSITY[1]: (min(*factors, _MOST_FACTORS), tokens, latent),
        **{_REFERENCE + name: shape for name, shape in known.record.shapes.items()},
    }
    for name in sorted(held):
        if name not in wanted:
            raise FoundryError(f'the foundry holds an unknown tensor {name!r} of {what!r}')
        if source.shape(name) != wanted[name]:
            raise FoundryError(
                f'{name!r} of {what!r} has shape {list(source.shape(name))}, its record asks for '
                f'{list(wanted[name])}'
            )
        if source.dtype(name) not in _FLOATING:
            raise FoundryError(f'{name!r} of {what!r} holds {source.dtype(name)}, no weights')
    groups = (_CODE, _DENSITY, tuple(name for name in wanted if name.startswith(_REFERENCE)))
    for group in groups:
        lacking = set(group) - held
        if lacking and len(lacking) < len(group):
            raise FoundryError(f'the foundry lacks the tensor {min(lacking)!r} of {what!r}')
    if known.record.draws_not is None and not held >= {*_DENSITY}:
        raise FoundryError(f'the foundry says that it draws {what!r}, and has no density for that')


def _plan(record: Record, config: FoundryConfig) -> Layout:
    try:
        return Layout.plan(record.shapes, config.token_size, config.tokenisation)
    except TokenError as error:
        raise FoundryError(f'{record.architecture!r}: {error}') from error


def _identity(segment: Segment) -> tuple[str, str | None, tuple[int, ...]]:
    return segment.weight, segment.bias, segment.shape
