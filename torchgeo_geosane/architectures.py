"""What timm knows of an architecture, asked once and in surroundings that have no say in it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from types import MappingProxyType
from typing import NamedTuple

import timm
import torch
from torch import Tensor, nn

from torchgeo_geosane.construction import construct
from torchgeo_geosane.errors import ArchitectureError, did_you_mean
from torchgeo_geosane.foundry.surroundings import isolated


class TensorSpec(NamedTuple):
    """Shape and dtype of one tensor of a state dict."""

    shape: tuple[int, ...]
    dtype: torch.dtype


_PLAIN_ATTENTION = {
    'timm.layers.attention.Attention',
    'timm.models.swin_transformer.WindowAttention',
}
# What the names begin with that this package itself registers with timm.
_OWN = 'geosane_'


@dataclass(frozen=True)
class Architecture:
    """A headless timm architecture for so many channels; :func:`get_architecture` makes it.

    Attributes:
        name: timm's name, without a tag.
        in_chans: The number of input channels.
        shapes: Its state dict without values: name to shape and dtype, in order. Read-only.
        tied: The tensors that are others under a second name, because the model uses a layer
            twice: second name to first. Read-only; empty for most architectures.
        num_features: Numbers in the features that a head would see.
        attention_heads: The heads of its plain attention layers by their width (Swin's are among
            them). Layers that turn queries and keys, or norm them, are not plain; neither is a
            width at which layers differ.
    """

    name: str
    in_chans: int
    shapes: Mapping[str, TensorSpec] = field(repr=False)
    tied: Mapping[str, str] = field(repr=False)
    num_features: int | None
    attention_heads: Mapping[int, int] = field(repr=False)

    @cached_property
    def stems(self) -> tuple[str, ...]:
        """The state-dict keys of its stem: one, or several that see the image side by side.

        The stem is by definition what has a shape that depends on the number of channels, so the
        shapes for 3 and for 4 channels are compared. That needs no metadata of the model's author,
        and finds the models with branches (RepVGG, FastViT, CrossViT), or with none. For example
        ``('conv1.weight',)`` (resnet50) or ``('patch_embed.proj.weight',)`` (ViT).

        Raises:
            ArchitectureError: If it has no stem, or one that is not a 2-D convolution.
        """
        three, four = (get_architecture(self.name, channels).shapes for channels in (3, 4))
        stems = tuple(name for name, spec in three.items() if spec != four.get(name))
        if not stems:
            raise ArchitectureError(
                f'{self.name!r} has no stem: no tensor depends on the number of channels'
            )
        for stem in stems:
            shape = three[stem].shape
            if len(shape) != 4 or (shape[1], four[stem].shape[1]) != (3, 4):
                raise ArchitectureError(
                    f'the stem of {self.name!r}, {stem!r} of shape {shape}, '
                    'is not a plain convolution'
                )
        return stems

    @cached_property
    def head(self) -> frozenset[str]:
        """The tensors that only tell classes apart: what timm's model has and this has not.

        Found by comparing the two, not by guessing from names or from the order of the tensors.
        """
        # Not timm's default number of classes, which is no class for some.
        make = partial(timm.create_model, self.name, pretrained=False, num_classes=2)
        return frozenset(shapes_of(make)) - self.shapes.keys()

    def initialise(self, seed: int) -> dict[str, Tensor]:
        """A freshly initialised state dict, for what no prompt has and for the prompt ``random``.

        Args:
            seed: Determines every value, whatever surrounds the call; the global random state is
                left as it was.

        Returns:
            The state dict, on the CPU.
        """
        model = construct(partial(_headless, self.name, self.in_chans), seed)
        return {name: tensor.detach() for name, tensor in model.state_dict().items()}

    def build(self) -> nn.Module:
        """The model without values, on the meta device."""
        return construct(partial(_headless, self.name, self.in_chans), device='meta')


@lru_cache(maxsize=128)
def get_architecture(name: str, in_chans: int = 3) -> Architecture:
    """What timm knows of an architecture; the model is built once, without values.

    Args:
        name: A timm architecture without a tag, e.g. ``'resnet50'``.
        in_chans: The number of input channels.

    Raises:
        ArchitectureError: If timm has no such model, or it cannot be built headless with so many
            channels.
    """
    model = construct(partial(_headless, name, in_chans), device='meta')
    state_dict = model.state_dict(keep_vars=True)  # Kept, so that a tensor of two names is one.
    first: dict[int, str] = {}
    names = {key: first.setdefault(id(tensor), key) for key, tensor in state_dict.items()}
    return Architecture(
        name,
        in_chans,
        _described(state_dict),
        MappingProxyType({key: other for key, other in names.items() if key != other}),
        getattr(model, 'num_features', None),
        _attention_heads(model),
    )


def initialise(architecture: str, in_chans: int, seed: int) -> dict[str, Tensor]:
    """A freshly initialised state dict of a headless architecture; see :meth:`Architecture.initialise`.

    Raises:
        ArchitectureError: As :func:`get_architecture`.
    """
    return get_architecture(architecture, in_chans).initialise(seed)


@isolated
def shapes_of(make: Callable[[], nn.Module]) -> Mapping[str, TensorSpec]:
    """The state dict of any model without its values: name to shape and dtype, in order.

    Args:
        make: Builds the model; it is built on the meta device, so no memory is spent.
    """
    return _described(construct(make, device='meta').state_dict())


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


def flat_name(name: str) -> str:
    """A tensor's name as it is whether or not a feature extractor nests the model or joins names.

    ``stages.0.conv.weight``, ``stages_0.conv.weight`` and ``model.stages_0.conv.weight`` are one.
    """
    return re.sub(r'^(model\.)+', '', name).replace('.', '_')


def _described(state_dict: Mapping[str, Tensor]) -> Mapping[str, TensorSpec]:
    return MappingProxyType(
        {name: TensorSpec(tuple(tensor.shape), tensor.dtype) for name, tensor in state_dict.items()}
    )


def _attention_heads(model: nn.Module) -> Mapping[int, int]:
    found: dict[int, set[int]] = {}
    for module in model.modules():
        if f'{type(module).__module__}.{type(module).__name__}' in _PLAIN_ATTENTION:
            found.setdefault(module.proj.in_features, set()).add(module.num_heads)  # type: ignore[union-attr, arg-type]
    return MappingProxyType({w: heads.pop() for w, heads in found.items() if len(heads) == 1})


def _headless(name: str, in_chans: int) -> nn.Module:
    check_architecture(name)
    if in_chans < 1:
        raise ArchitectureError(
            f'{name!r} cannot have {in_chans} input channels: ask for 1 or more'
        )
    try:
        return timm.create_model(name, pretrained=False, num_classes=0, in_chans=in_chans)
    except Exception as error:  # whatever the model's constructor raises
        raise ArchitectureError(
            f'timm cannot build {name!r} without a head and with {in_chans} input channels: {error}'
        ) from error
