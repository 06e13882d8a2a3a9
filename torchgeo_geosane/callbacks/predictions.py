"""What a segmentation task predicts, without running it twice."""

from typing import TYPE_CHECKING, Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle


class PredictionCallback(Callback):
    """Base of callbacks that look at predictions.

    TorchGeo's validation and test steps return no predictions, so a forward hook keeps the logits
    of the batch at hand. Subclasses override Lightning's batch hooks and read :attr:`prediction`.
    """

    def __init__(self) -> None:
        self._handle: RemovableHandle | None = None
        self._logits: Tensor | None = None

    @property
    def prediction(self) -> Tensor:
        """Class indices of the batch at hand, int64, [batch, height, width].

        Raises:
            RuntimeError: If the task has not been run on a batch.
        """
        if self._logits is None:
            raise RuntimeError('no prediction yet: read it in on_*_batch_end')
        if self._logits.shape[1] == 1:
            return (self._logits[:, 0] > 0).long()
        return self._logits.argmax(dim=1)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Start to listen."""
        self._release()
        self._handle = pl_module.register_forward_hook(self._keep)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Stop to listen."""
        self._release()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Stop to listen."""
        self._release()

    def _keep(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        # Training logits carry the graph: keeping them would keep the activations.
        self._logits = None if module.training else output.detach()

    def _release(self) -> None:
        if self._handle is not None:
            self._handle.remove()
        self._handle = self._logits = None
