"""A foundry that does not fit on one device: weights shared out over many (FSDP 2)."""

from typing import Any

from lightning.pytorch.strategies import ModelParallelStrategy, Strategy
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

from torchgeo_geosane.foundry.autoencoder import FoundryBlock, WeightAutoencoder
from torchgeo_geosane.training.config import HardwareConfig

# The autoencoder is called by these, and never as a whole.
_METHODS = ('embed', 'encode_embedded', 'decode_embedded', 'project')


def find_strategy(hardware: HardwareConfig) -> str | Strategy:
    """What Lightning's ``Trainer`` takes as its strategy."""
    return FullySharded() if hardware.strategy == 'fsdp' else hardware.strategy


class FullySharded(ModelParallelStrategy):
    """Lightning's strategy for FSDP 2, with all processes as one data-parallel group.

    Its ``FSDPStrategy`` (FSDP 1) would round the positions' frequencies to bfloat16, and cannot
    clip the gradient's norm.
    """

    def __init__(self) -> None:
        """Checkpoints are gathered into one file, as any other strategy reads it."""
        super().__init__(tensor_parallel_size=1, save_distributed_checkpoint=False)

    def setup_environment(self) -> None:
        """How many processes there are is known only here."""
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()


def shard(model: WeightAutoencoder, mesh: DeviceMesh | Any) -> None:
    """Share an autoencoder's weights out over the devices of a mesh, block by block, in place."""
    for module in model.modules():
        if isinstance(module, FoundryBlock):
            fully_shard(module, mesh=mesh)
    fully_shard(model, mesh=mesh)
    for method in _METHODS:
        register_fsdp_forward_method(model, method)
