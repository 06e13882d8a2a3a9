"""The proof that a group's units may change places: the network is run, before and after."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from torchgeo_geosane.alignment.groups import Axis, Group
from torchgeo_geosane.alignment.trace import OUTPUT

# Largest difference of an output in float64, relative to the largest output.
TOLERANCE = 1e-8


class Proof:
    """Runs a network with random weights, in float64, with units in another order."""

    def __init__(self, model: nn.Module, image: Tensor, seed: int = 0) -> None:
        """Draw the weights.

        Args:
            model: The model, initialised, on the CPU; its weights are changed.
            image: What it is given.
            seed: Determines weights and orders.
        """
        self._model = model.double().eval()
        self._image = image.double()
        self._seed = seed
        self._tensors = {
            name: tensor
            for name, tensor in model.state_dict().items()
            if tensor.is_floating_point()
        }
        _enliven(self._tensors.values(), seed)
        _settle(self._model, self._image)
        self._expected = self._run()

    def hold(self, groups: Sequence[Group]) -> bool:
        """Whether the function stays the same where the units of all these groups move."""
        generator = torch.Generator().manual_seed(self._seed)
        places: dict[Axis, Tensor] = {}
        for group in groups:
            group.move(places, group.displace(generator))
        order = places.pop(OUTPUT, None)
        expected = self._expected if order is None else self._expected.index_select(1, order)
        self._reorder(places)
        try:
            found = self._run()
        finally:
            self._reorder({axis: order.argsort() for axis, order in places.items()})
        scale = expected.abs().max()
        return bool(scale > 0) and bool((found - expected).abs().max() <= TOLERANCE * scale)

    def failing(self, groups: Sequence[Group]) -> list[Group]:
        """Those of the groups that do not hold, found by halving."""
        return [] if self.hold(groups) else self._search(groups)

    def _search(self, groups: Sequence[Group]) -> list[Group]:
        """The failing groups among some that do not hold together."""
        if len(groups) == 1:
            return list(groups)
        first, second = groups[: len(groups) // 2], groups[len(groups) // 2 :]
        found = self.failing(first)
        # If the first half holds, the second is known not to.
        return found + (self.failing(second) if found else self._search(second))

    def _reorder(self, places: dict[Axis, Tensor]) -> None:
        for (name, dim), order in places.items():
            self._tensors[name].copy_(self._tensors[name].index_select(dim, order))

    @torch.no_grad()
    def _run(self) -> Tensor:
        return self._model(self._image)


def _enliven(tensors: Iterable[Tensor], seed: int) -> None:
    """Give constant tensors random values: zeros and ones would hide that one stayed behind."""
    generator = torch.Generator().manual_seed(seed)
    for tensor in tensors:
        if tensor.numel() > 1 and bool((tensor == tensor.flatten()[0]).all()):
            noise = torch.rand(tensor.shape, generator=generator, dtype=tensor.dtype)
            # Variances stay positive.
            tensor.copy_(noise + 0.5 if tensor.flatten()[0] else (noise - 0.5) * 0.2)


@torch.no_grad()
def _settle(model: nn.Module, image: Tensor) -> None:
    """Bring the statistics of norms half-way to what they meet.

    Where they are far from it, activations grow from layer to layer, and with them the rounding, until
    no order of the units gives the same within the tolerance.
    """
    norms = [
        module
        for module in model.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats
    ]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.5
        norm.train()
    try:
        model(torch.cat([image, image.flip(-1)]))
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()
