"""Gradient checkpointing of the backbone: less memory for activations, more computation."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from torchgeo_geosane.errors import ArchitectureError

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle


class GradientCheckpointing(Callback):
    """Keeps only some activations of the backbone, and computes the others again for the gradient.

    Gradients are the same. Which activations are kept is timm's choice, for each architecture. The
    running statistics of BatchNorm, which a second computation would update again, are guarded.

    Raises:
        ArchitectureError: When training starts, if the task has no model of timm that can do it;
            after the first step, if nothing was computed again: what is frozen keeps nothing.
    """

    def __init__(self) -> None:
        self._backbones: list[nn.Module] = []
        self._momenta: dict[_BatchNorm, float | None] = {}
        self._watches: list[RemovableHandle] = []
        self._works = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Switch it on, before the strategy wraps the model."""
        if stage != 'fit':
            return
        self._backbones = list(_outermost(pl_module))
        if not self._backbones:
            raise ArchitectureError(
                f'no model inside {type(pl_module).__name__} can checkpoint gradients, only those '
                'of timm can: take one, for a segmentation an encoder tu-…, or leave the callback out'
            )
        for backbone in self._backbones:
            _switch_on(backbone)

    def on_before_backward(
        self, trainer: Trainer, pl_module: LightningModule, loss: Tensor
    ) -> None:
        """Guard the running statistics, and watch the first time whether anything is computed."""
        modules = [module for backbone in self._backbones for module in backbone.modules()]
        norms = [module for module in modules if isinstance(module, _BatchNorm)]
        self._momenta = {norm: norm.momentum for norm in norms}
        for norm in norms:
            norm.momentum = 0.0
        if not self._works:
            self._watches = [module.register_forward_hook(self._notice) for module in modules]

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let the running statistics go on."""
        for norm, momentum in self._momenta.items():
            norm.momentum = momentum
        for watch in self._watches:
            watch.remove()
        self._watches = []
        if not self._works:
            names = ', '.join(type(backbone).__name__ for backbone in self._backbones)
            raise ArchitectureError(
                f'gradient checkpointing has no effect on {names}: nothing is computed again. '
                'Is it frozen? Else timm cannot do it for this model: leave the callback out'
            )

    def _notice(self, *_: Any) -> None:
        self._works = True


def _outermost(module: nn.Module) -> Iterator[nn.Module]:
    """Models that can checkpoint, but not what is inside of them."""
    if hasattr(module, 'set_grad_checkpointing'):
        yield module
    else:
        for child in module.children():
            yield from _outermost(child)


def _switch_on(backbone: Any) -> None:
    try:
        backbone.set_grad_checkpointing(True)
    except AssertionError as error:
        raise ArchitectureError(
            f'timm cannot checkpoint gradients of {type(backbone).__name__} ({error}): '
            'leave the callback out'
        ) from error
