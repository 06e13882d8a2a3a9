"""The autoencoder's own arithmetic, beside what conformance shows."""

import pytest
import torch
import torch.nn.functional as F

from torchgeo_geosane.foundry.autoencoder import _attend


@pytest.mark.parametrize('shape', [(1, 4, 640, 64), (3, 2, 18, 16), (2, 1, 1, 8)], ids=str)
def test_attention_in_bfloat16_is_the_exact_one_but_for_rounding(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, *shape, generator=generator).bfloat16().unbind(0)
    exact = F.scaled_dot_product_attention(q.double(), k.double(), v.double())
    attended = _attend(q, k, v, dropout=0.0)
    assert attended.dtype == torch.bfloat16
    assert attended.shape == shape
    # One rounding is 2**-8 at most; the fused kernel rounds once, plain products three times.
    assert (attended - exact).norm() / exact.norm() < 0.006
    assert (attended - exact).abs().max() < 0.03
