"""What timm knows of an architecture: names, shapes and dtypes of its state dict."""

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

import timm
import torch
from torch import Tensor, nn

from torchgeo_geosane.errors import ArchitectureError, did_you_mean


class TensorSpec(NamedTuple):
    """Shape and dtype of one tensor of a state dict."""

    shape: tuple[int, ...]
    dtype: torch.dtype


class _Outline(NamedTuple):
    """What a headless model says of itself: its shapes, and second names to first."""

    shapes: Mapping[str, TensorSpec]
    tied: Mapping[str, str]


_PLAIN_ATTENTION = {
    'timm.layers.attention.Attention',
    'timm.models.swin_transformer.WindowAttention',
}
# What the names begin with that this package itself registers with timm.
_OWN = 'geosane_'


def list_architectures() -> list[str]:
    """The names of timm's own architectures."""
    return [name for name in timm.list_models() if not name.startswith(_OWN)]


def check_architecture(name: str) -> None:
    """Make sure that timm knows an architecture.

    Args:
        name: A timm architecture without a tag, e.g. ``'resnet50'``.

    Raises:
        ArchitectureError: If timm has no such model; the message names the nearest.
    """
    if '.' in name and timm.is_model(name):
        architecture = name.split('.', 1)[0]
        raise ArchitectureError(
            f'{name!r} names weights, not an architecture: write {architecture!r}, '
            f"and 'timm:{name}' as the prompt"
        )
    if not timm.is_model(name) or name.startswith(_OWN):
        known = list_architectures()
        raise ArchitectureError(f'unknown architecture {name!r}{did_you_mean(name, known)}')


def target_shapes(architecture: str, in_chans: int) -> Mapping[str, TensorSpec]:
    """The state dict that the headless architecture wants, without its values.

    The model is built on the meta device: no memory is spent and the global RNG is not touched.

    Args:
        architecture: A timm architecture.
        in_chans: The number of input channels.

    Returns:
        Read-only: name to shape and dtype, in state-dict order.

    Raises:
        ArchitectureError: If timm has no such model, or it cannot be built headless with so many
            channels.
    """
    return _outline(architecture, in_chans).shapes


def flat_name(name: str) -> str:
    """A tensor's name as it is whether or not a feature extractor nests the model or joins names.

    ``stages.0.conv.weight``, ``stages_0.conv.weight`` and ``model.stages_0.conv.weight`` are one.
    """
    return re.sub(r'^(model\.)+', '', name).replace('.', '_')


@lru_cache(maxsize=64)
def head_names(architecture: str) -> frozenset[str]:
    """The tensors that only tell classes apart: what timm's model has and its headless form has not.

    Found by comparing the two, not by guessing from names or from the order of the tensors.

    Raises:
        ArchitectureError: As :func:`target_shapes`.
    """
    with torch.random.fork_rng(devices=[]), torch.device('meta'):
        # Not timm's default, which is no class for some.
        whole = timm.create_model(architecture, pretrained=False, num_classes=2)
    return frozenset(whole.state_dict()) - target_shapes(architecture, 3).keys()


def tied_names(architecture: str) -> Mapping[str, str]:
    """The tensors that are others under a second name, because the model uses a layer twice.

    Returns:
        Read-only: second name to first, in state-dict order; empty for most architectures.

    Raises:
        ArchitectureError: As :func:`target_shapes`.
    """
    return _outline(architecture, 3).tied


@lru_cache(maxsize=64)
def attention_heads(architecture: str) -> Mapping[int, int]:
    """The heads of an architecture's plain attention layers by their width (Swin's are among them).

    Layers that turn queries and keys, or norm them, are not plain. Neither is a width at which
    layers differ.

    Raises:
        ArchitectureError: As :func:`target_shapes`.
    """
    with torch.random.fork_rng(devices=[]), torch.device('meta'):
        model = _build(architecture, 3)
    found: dict[int, set[int]] = {}
    for module in model.modules():
        if f'{type(module).__module__}.{type(module).__name__}' in _PLAIN_ATTENTION:
            found.setdefault(module.proj.in_features, set()).add(module.num_heads)  # type: ignore[union-attr, arg-type]
    return MappingProxyType({w: heads.pop() for w, heads in found.items() if len(heads) == 1})


def initialise(architecture: str, in_chans: int, seed: int) -> dict[str, Tensor]:
    """A freshly initialised state dict, for what no prompt has and for the prompt ``random``.

    Args:
        architecture: A timm architecture.
        in_chans: The number of input channels.
        seed: Determines every value; the global RNG is left as it was.

    Returns:
        The state dict of the headless model, on the CPU.

    Raises:
        ArchitectureError: As :func:`target_shapes`.
    """
    with torch.random.fork_rng(devices=[]), torch.device('cpu'):
        # Not torch.manual_seed, which reseeds every accelerator too.
        torch.default_generator.manual_seed(seed)
        model = _build(architecture, in_chans)
    return {name: tensor.detach() for name, tensor in model.state_dict().items()}


@lru_cache(maxsize=64)
def _outline(architecture: str, in_chans: int) -> _Outline:
    """Build the headless model without values, once for all that is asked of it."""
    with torch.random.fork_rng(devices=[]), torch.device('meta'):
        model = _build(architecture, in_chans)
    state_dict = model.state_dict(keep_vars=True)  # Kept, so that a tensor of two names is one.
    first: dict[int, str] = {}
    names = {name: first.setdefault(id(tensor), name) for name, tensor in state_dict.items()}
    return _Outline(
        MappingProxyType(
            {
                name: TensorSpec(tuple(tensor.shape), tensor.dtype)
                for name, tensor in state_dict.items()
            }
        ),
        MappingProxyType({name: other for name, other in names.items() if name != other}),
    )


def _build(architecture: str, in_chans: int) -> nn.Module:
    check_architecture(architecture)
    if in_chans < 1:
        raise ArchitectureError(
            f'{architecture!r} cannot have {in_chans} input channels: ask for 1 or more'
        )
    try:
        return timm.create_model(architecture, pretrained=False, num_classes=0, in_chans=in_chans)
    except Exception as error:  # whatever the model's constructor raises
        raise ArchitectureError(
            f'timm cannot build {architecture!r} without a head '
            f'and with {in_chans} input channels: {error}'
        ) from error
