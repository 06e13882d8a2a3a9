"""Which of the networks in a file is a prompt: the one that fits best; of several, the averaged one."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

import timm

from torchgeo_geosane.architectures import TensorSpec, get_architecture
from torchgeo_geosane.errors import PromptError, TokenError
from torchgeo_geosane.foundry.source import RenamedSource, StateDictSource, TensorSource
from torchgeo_geosane.prompts.containers import is_averaged
from torchgeo_geosane.prompts.conversion import convert
from torchgeo_geosane.prompts.shards import ShardedSource

logger = logging.getLogger(__name__)

# Two networks that differ by less both fit.
_AS_GOOD = 0.9
# A moving average may leave out buffers, which are then the trained network's.
_LEAST_AVERAGED = 0.5
_COUNTER = 'num_batches_tracked'
# Prefixes under which timm's conversion is tried where no name is timm's.
_WRAPPERS = ('', 'module.', 'model.', 'backbone.', 'encoder.')


@dataclass(frozen=True)
class _Network:
    """Tensors that lie under one prefix.

    Attributes:
        source: Where they lie.
        prefix: What their names begin with there.
        where: The keys and the prefix, without the last dot; '' for the file itself.
        fitting: How many wanted tensors it has in the wanted shape.
        named: How many wanted names it has.
    """

    source: TensorSource
    prefix: str
    where: str
    fitting: int
    named: int

    def held(self) -> set[str]:
        """The names of its tensors, without the prefix."""
        names = self.source.names()
        return {n.removeprefix(self.prefix) for n in names if n.startswith(self.prefix)}


def choose_network(
    networks: Mapping[str, TensorSource], architecture: str, file: str
) -> tuple[TensorSource, str]:
    """The tensors of an architecture among the networks of a file, under timm's names.

    Prefixes such as ``model.backbone.`` are found, not listed: the one under which most of the
    architecture's tensors lie is taken. Where two networks fit (a student and its teacher, weights and their
    moving average), it is the averaged one. Tensors under other names, or for another image
    size, go through timm's own conversion. What was done is logged.

    Args:
        networks: The networks by the keys under which they lie.
        architecture: A timm architecture.
        file: The file, for messages.

    Returns:
        The tensors, and what to add to the file's name: which network they are, and whether timm converted them.

    Raises:
        PromptError: If there is none of the tensors.
        TokenError: If one cannot be read.
    """
    wanted = get_architecture(architecture).shapes
    found = [
        network
        for keys, source in networks.items()
        for network in _find(keys, source, wanted, get_architecture(architecture).stems)
    ]
    if not found:
        return _converted(_unnamed(networks), architecture, 0) or _refuse(
            networks, architecture, file
        )
    chosen = _best(found, file)
    if _looks_foreign(chosen, architecture, wanted):
        converted = _converted([chosen], architecture, chosen.fitting)
        if converted is not None:
            return converted
    held = chosen.held()
    names = {name: chosen.prefix + name for name in wanted if name in held}
    other = _complement(chosen, found)
    if other is None:
        return RenamedSource(chosen.source, names), _said(chosen)
    # In the architecture's order, which is that of the tokens.
    held = other.held()
    rest = {name: other.prefix + name for name in wanted if name in held}
    first, second = RenamedSource(chosen.source, names), RenamedSource(other.source, rest)
    both = {n: first if n in names else second for n in wanted if n in names or n in rest}
    return ShardedSource(both), f'{_said(chosen)}, what it lacks from {other.where!r}'


def _find(
    keys: str, source: TensorSource, wanted: Mapping[str, TensorSpec], stems: tuple[str, ...]
) -> Iterator[_Network]:
    """The prefixes under which wanted names are found in one network."""
    named: Counter[str] = Counter()
    fitting: Counter[str] = Counter()
    for name in source.names():
        parts = name.split('.')
        for cut in range(len(parts)):
            inner = '.'.join(parts[cut:])
            if inner in wanted:
                prefix = ''.join(part + '.' for part in parts[:cut])
                named[prefix] += 1
                fitting[prefix] += _fits(source, name, wanted[inner].shape, inner in stems)
    for prefix, count in named.items():
        where = '.'.join(part for part in (keys, prefix.removesuffix('.')) if part)
        yield _Network(source, prefix, where, fitting[prefix], count)


def _fits(source: TensorSource, name: str, wanted: tuple[int, ...], stem: bool) -> bool:
    """Whether a tensor has the wanted shape; a stem may see other channels."""
    try:
        shape = source.shape(name)
    except TokenError:
        return True  # It says why it cannot be read once it is asked for.
    if stem and len(shape) == len(wanted):
        shape, wanted = (shape[0], *shape[2:]), (wanted[0], *wanted[2:])
    return shape == wanted


def _best(found: list[_Network], file: str) -> _Network:
    """The network that fits best; of several that do, the averaged one, or else the first."""

    def score(network: _Network) -> tuple[int, int]:
        return network.fitting, network.named

    best = max(found, key=score)
    averaged = [
        n for n in found if is_averaged(n.where) and n.fitting >= _LEAST_AVERAGED * best.fitting
    ]
    chosen = max(averaged, key=score) if averaged else best
    others = [n.where for n in found if n is not chosen and n.fitting >= _AS_GOOD * best.fitting]
    if others and best.fitting:
        why = 'the averaged weights' if averaged else 'the first of those that fit'
        logger.warning(
            '%s holds several networks of this architecture: %s is taken, %s; not taken: %s',
            *(file, repr(chosen.where), why, ', '.join(map(repr, others))),
        )
    return chosen


def _complement(chosen: _Network, found: list[_Network]) -> _Network | None:
    """The trained network that has what an average leaves out (buffers); None where it leaves out nothing."""
    others = [n for n in found if n.fitting > chosen.fitting and not is_averaged(n.where)]
    return max(others, key=lambda n: n.fitting) if is_averaged(chosen.where) and others else None


def _looks_foreign(chosen: _Network, architecture: str, wanted: Mapping[str, TensorSpec]) -> bool:
    """Whether tensors have other shapes, or other names, than this version of timm gives them."""
    if chosen.fitting < chosen.named:
        return True
    held = chosen.held()
    lacking = [name for name in wanted if name not in held and not name.endswith(_COUNTER)]
    return bool(lacking) and bool(held - wanted.keys() - get_architecture(architecture).head)


def _unnamed(networks: Mapping[str, TensorSource]) -> Iterator[_Network]:
    """Networks none of whose names is timm's, under the usual wrappers' prefixes."""
    for keys, source in networks.items():
        for prefix in _WRAPPERS:
            names = source.names()
            if names and sum(name.startswith(prefix) for name in names) > len(names) / 2:
                yield _Network(source, prefix, keys, 0, 0)


def _converted(
    tried: Iterable[_Network], architecture: str, least: int
) -> tuple[TensorSource, str] | None:
    """What timm's own conversion makes of the first network that it fits better than ``least``."""
    known = get_architecture(architecture)
    wanted, stems = known.shapes, known.stems
    for network in tried:
        channels = [
            network.source.shape(network.prefix + stem) for stem in stems if stem in network.held()
        ]
        in_chans = channels[0][1] if channels and len(channels[0]) == 4 else 3
        tensors = convert(network.source, network.prefix, architecture, in_chans)
        source = StateDictSource({n: t for n, t in tensors.items() if n in wanted})
        fitting = sum(_fits(source, n, wanted[n].shape, n in stems) for n in source.names())
        if fitting > max(least, len(wanted) / 2):
            logger.warning(
                "timm's own conversion has fitted the weights%s to %r: their names or shapes are those "
                'of another version, or of another image size',
                _said(network),
                architecture,
            )
            return source, f'{_said(network)}, converted by timm {timm.__version__}'
    return None


def _refuse(networks: Mapping[str, TensorSource], architecture: str, file: str) -> NoReturn:
    names = [name for source in networks.values() for name in source.names()]
    raise PromptError(
        f'{file} holds no tensor of {architecture!r}; it has {", ".join(names[:5]) or "no tensors"}'
    )


def _said(network: _Network) -> str:
    return f', {network.where!r}' if network.where else ''
