"""Networks built from the layers that a file lists: what formats that say what their layers do share."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from torchgeo_geosane.foundry.errors import TokenError

# Values of one blob: what a file says of its layers can ask for any size.
_MOST_VALUES = 2**27


def identity(given: Tensor) -> Tensor:
    """What is given, as it is."""
    return given


def first(given: Sequence[Tensor]) -> Tensor:
    """The first of what is given."""
    return given[0]


@dataclass(frozen=True)
class Step:
    """What is computed of some blobs.

    Attributes:
        inputs: The blobs it reads; none where it reads the image.
        outputs: The blobs it writes: all of them are its one result.
        before: What it computes of its inputs, without values.
        name: The module with its values, which follows; empty where it has none.
        after: What follows the module.
    """

    inputs: tuple[Hashable, ...]
    outputs: tuple[Hashable, ...]
    before: Callable[[Sequence[Tensor]], Tensor] = first
    name: str = ''
    after: Callable[[Tensor], Tensor] = identity


class LayeredNetwork(nn.Module):
    """A network that runs steps one after the other.

    Args:
        steps: Its steps.
        modules: What has values, by the names that steps use.
    """

    def __init__(self, steps: Sequence[Step], modules: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self._steps = tuple(steps)
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, image: Tensor) -> Tensor:
        """The last step's result. ``image``: ``[batch, channels, height, width]``.

        Raises:
            TokenError: If a step asks for more memory than any such network does. Without memory, on
                the meta device, too.
        """
        blobs: dict[Hashable, Tensor] = {}
        for step in self._steps:
            result = _bounded(step.before([blobs[name] for name in step.inputs] or [image]))
            if step.name:
                result = _bounded(step.after(self.get_submodule(step.name)(result)))
            blobs |= dict.fromkeys(step.outputs, result)
        return result


def _bounded(result: Tensor) -> Tensor:
    if result.numel() > _MOST_VALUES:
        raise TokenError(f'a layer makes {result.numel():,} values of one image')
    return result
