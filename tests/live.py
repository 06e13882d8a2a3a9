"""How much memory tensors take."""

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class Live(TorchDispatchMode):
    """Measures the largest number of bytes that tensors made meanwhile hold at one time."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._storages: dict[int, tuple[object, int]] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                self._storages[storage._cdata] = (storage._weak_ref(), storage.nbytes())
        self._storages = {
            key: (weak, size)
            for key, (weak, size) in self._storages.items()
            if not torch.UntypedStorage._expired(weak)
        }
        self.peak = max(self.peak, sum(size for _, size in self._storages.values()))
        return result
