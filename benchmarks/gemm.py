"""The matrix products that generating and training take, and how long they alone would take."""

import statistics
import time

import torch
import torch.nn.functional as F
from torch import Tensor

from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.foundry.windows import plan_windows


def products(config: FoundryConfig, n_tokens: int) -> list[tuple[int, int, int, int, int]]:
    """The matrix products of one candidate: (how often, batch, m, k, n)."""
    windows = plan_windows(n_tokens, config.window, config.halo)
    times, m = len(windows), windows[0].stop - windows[0].start
    d, blocks, head = config.d_model, 2 * config.num_layers * times, config.d_model // config.nhead
    return [
        (2 * times, 1, m, config.token_size, d),
        (2 * times, 1, m, d, config.latent_dim),
        (blocks, 1, m, d, 3 * d),
        (blocks, 1, m, d, d),
        (2 * blocks, 1, m, d, 4 * d),
        (blocks, config.nhead, m, head, m),
        (blocks, config.nhead, m, m, head),
    ]


def training_products(config: FoundryConfig, windows: int) -> list[tuple[int, int, int, int, int]]:
    """The matrix products of a training step's passes: (how often, batch, m, k, n).

    Args:
        config: The foundry.
        windows: Windows that are encoded and decoded; with two views twice those of the batch.
    """
    d, blocks, head = config.d_model, 2 * config.num_layers, config.d_model // config.nhead
    m, heads, w = windows * config.window, windows * config.nhead, config.window
    forward = [
        (2, 1, m, config.token_size, d),
        (2, 1, m, d, config.latent_dim),
        (blocks, 1, m, d, 3 * d),
        (blocks, 1, m, d, d),
        (2 * blocks, 1, m, d, 4 * d),
        (blocks, heads, w, head, w),
        (blocks, heads, w, w, head),
    ]
    # Each gives two in the backward pass: the gradients of its two factors.
    return [
        (times, batch, *shape)
        for times, batch, m, k, n in forward
        for shape in ((m, k, n), (m, n, k), (n, m, k))
    ]


def flops(config: FoundryConfig, n_tokens: int) -> float:
    """Floating-point operations of the products."""
    return operations(products(config, n_tokens))


def operations(shapes: list[tuple[int, int, int, int, int]]) -> float:
    """Floating-point operations of products."""
    return sum(2.0 * t * b * m * k * n for t, b, m, k, n in shapes)


def gemm_seconds(config: FoundryConfig, n_tokens: int, dtype: torch.dtype, device: str) -> float:
    """CPU seconds (seconds on a GPU) that the products alone would take at their plain rate."""
    return product_seconds(products(config, n_tokens), dtype, device)


def product_seconds(
    shapes: list[tuple[int, int, int, int, int]], dtype: torch.dtype, device: str, repeats: int = 8
) -> float:
    """As ``gemm_seconds``, of any products."""
    total = 0.0
    clock = time.process_time if device == 'cpu' else time.perf_counter
    for times, batch, m, k, n in shapes:
        a = torch.randn(batch, m, k, dtype=dtype, device=device)
        b = torch.randn(batch, n, k, dtype=dtype, device=device)
        multiply(a, b)
        seconds = []
        for _ in range(repeats):
            wait(device)
            start = clock()
            multiply(a, b)
            wait(device)
            seconds.append(clock() - start)
        total += times * statistics.median(seconds)
    return total


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """Products of ``[batch, m, k]`` and ``[batch, n, k]``, as a linear map where the batch is 1."""
    return F.linear(a[0], b[0]) if len(a) == 1 else torch.bmm(a, b.mT)


def wait(device: str) -> None:
    """Until a GPU has done what it was given."""
    if device != 'cpu':
        torch.cuda.synchronize()
