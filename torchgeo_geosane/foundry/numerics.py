"""The switches of a process that change bits of a product, at torch's own defaults for a while.

``torch.set_float32_matmul_precision('medium')``, which many training scripts begin with, rounds the
factors of every product; the backends of attention add in another order. torch knows no way to
choose for a single product. So they are set for the whole process while weights are computed, and
set back afterwards; nothing is written where they are at their defaults already.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

Restore = Callable[[], None]

_FULL = ('ieee', 'none')


class _Switches:
    """Set by the first who needs them, set back by the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._restore: list[Restore] = []

    def acquire(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._restore = [*_full_precision(), *_default_backends()]

    def release(self) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._set_back()

    def forget_users(self) -> None:
        """In a forked process: the threads that used them were not copied."""
        self._lock = threading.Lock()
        self._users = 0
        self._set_back()

    def _set_back(self) -> None:
        while self._restore:
            self._restore.pop()()


_SWITCHES = _Switches()
if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_SWITCHES.forget_users)


@contextmanager
def plain_numerics() -> Iterator[None]:
    """Compute in full float32, with the backends that torch takes by itself."""
    _SWITCHES.acquire()
    try:
        yield
    finally:
        _SWITCHES.release()


def _full_precision() -> Iterator[Restore]:
    """Products of float32 in float32."""
    # By backend since torch 2.9; whoever sets them so gets an error from the older question.
    modules: tuple[Any, ...] = (torch.backends.cuda, torch.backends.mkldnn)
    products = [module.matmul for module in modules if hasattr(module, 'matmul')]
    backends = [each for each in products if hasattr(each, 'fp32_precision')]
    found = [backend.fp32_precision for backend in backends]
    try:
        overall = torch.get_float32_matmul_precision()
    except RuntimeError:
        overall = None
    if overall in (None, 'highest') and all(precision in _FULL for precision in found):
        return
    for backend, precision in zip(backends, found, strict=True):
        yield _set(backend, 'fp32_precision', 'ieee', precision)
    if overall is not None:
        torch.set_float32_matmul_precision('highest')
        yield lambda: torch.set_float32_matmul_precision(overall)


def _default_backends() -> Iterator[Restore]:
    """All of attention's backends, and oneDNN, as at torch's start."""
    cuda: Any = torch.backends.cuda
    attention = (
        (cuda.flash_sdp_enabled, cuda.enable_flash_sdp),
        (cuda.mem_efficient_sdp_enabled, cuda.enable_mem_efficient_sdp),
        (cuda.math_sdp_enabled, cuda.enable_math_sdp),
        (cuda.cudnn_sdp_enabled, cuda.enable_cudnn_sdp),
    )
    for enabled, enable in attention:
        if not enabled():
            enable(True)
            yield lambda enable=enable: enable(False)  # type: ignore[misc]
    if not torch.backends.mkldnn.enabled:
        yield _set(torch.backends.mkldnn, 'enabled', True, False)


def _set(owner: Any, name: str, value: Any, before: Any) -> Restore:
    setattr(owner, name, value)
    return lambda: setattr(owner, name, before)
