"""What every prompt is, and the check that its tensors fit the architecture."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import torch

from torchgeo_geosane.architectures import TensorSpec, get_architecture
from torchgeo_geosane.errors import PromptError
from torchgeo_geosane.foundry.files import printable, telling
from torchgeo_geosane.foundry.source import RenamedSource, TensorSource
from torchgeo_geosane.sensors import Band

# With less than this share of the architecture's tensors a file is some other model's.
_LEAST_SHARE = 0.5
# Narrower numbers come with scales.
_WEIGHTS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Prompt:
    """A named state dict, described without reading it.

    Attributes:
        name: Canonical name, e.g. ``'timm:resnet50.a1_in1k'`` or ``'file:/models/encoder.pth'``.
        architecture: The timm architecture it belongs to.
        bands: What its stem sees, in order.
        sensor: The name of the sensor with those bands, or a description.
        source: Where it comes from: URL, package and version, or path.
        licence: SPDX identifier, or ``'unknown'`` and where to look.
        fingerprint: What identifies the tensors in a cache key; known without network.
        load: Reads the tensors; :meth:`open` calls it.
    """

    name: str
    architecture: str
    bands: tuple[Band, ...]
    sensor: str
    source: str
    licence: str
    fingerprint: str
    load: Callable[[], TensorSource] = field(repr=False, compare=False)

    def open(self) -> TensorSource:
        """The tensors under timm's names; heads and whatever else timm does not want are left out.

        Tensors that the prompt lacks are simply not there (EfficientNet encoders without
        ``conv_head``, say). May need the network for ``torchgeo:`` and ``timm:``.

        Raises:
            PromptError: If the prompt cannot be had or read, or does not fit its architecture.
        """
        target = get_architecture(self.architecture, len(self.bands)).shapes
        with telling(PromptError, f'prompt {printable(self.name)} cannot be read'):
            source = self.load()
            check_fits(source, target, prompt=self.name)
        present = set(source.names())
        return RenamedSource(source, {name: name for name in target if name in present})


def check_fits(
    source: TensorSource,
    target: Mapping[str, TensorSpec],
    *,
    prompt: str,
    stem: str | None = None,
) -> None:
    """Make sure that a prompt's tensors have the shapes that an architecture wants.

    Args:
        source: The prompt's tensors, under timm's names.
        target: What the architecture wants.
        prompt: The prompt's name, for the message.
        stem: The one tensor whose number of channels (dimension 1) may differ, if any.

    Raises:
        PromptError: If fewer than half of the tensors are there, or one has another shape or kind
            of number; the message names the first.
    """
    names = source.names()
    common = [name for name in names if name in target]
    if len(common) < _LEAST_SHARE * len(target):
        raise PromptError(
            f'prompt {prompt!r} has only {len(common)} of the {len(target)} tensors of its '
            f'architecture ({_some(target)}); it has {_some(names)}: is it another model?'
        )
    for name in common:
        shape, wanted = source.shape(name), target[name].shape
        if name == stem and len(shape) == len(wanted) >= 2:
            shape, wanted = (shape[0], *shape[2:]), (wanted[0], *wanted[2:])
        if shape != wanted:
            raise PromptError(
                f'prompt {prompt!r} does not fit: {name!r} has shape {list(source.shape(name))}, '
                f'the architecture wants {list(target[name].shape)}'
            )
        if source.dtype(name) not in _WEIGHTS and source.dtype(name).is_floating_point:
            raise PromptError(
                f'prompt {prompt!r} does not fit: {name!r} is {source.dtype(name)}, whose values mean '
                'nothing without their scales: save it in float16 or wider'
            )
        if source.dtype(name).is_floating_point != target[name].dtype.is_floating_point:
            raise PromptError(
                f'prompt {prompt!r} does not fit: {name!r} is {source.dtype(name)}, '
                f'the architecture wants {target[name].dtype}'
            )


def _some(names: Iterable[str]) -> str:
    """The first few names, for a message."""
    listed = list(names)
    shown = ', '.join(repr(name) for name in listed[:3])
    return (shown + (', …' if len(listed) > 3 else '')) or 'none at all'
