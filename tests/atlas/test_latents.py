from dataclasses import replace

import pytest
import torch

from torchgeo_geosane.atlas.latents import CollectionLatents, encode_collection
from torchgeo_geosane.foundry.autoencoder import WeightAutoencoder
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.training import OpenedModel


def test_every_scale_has_its_points(latents: CollectionLatents) -> None:
    assert latents.models.models == tuple(range(6))
    assert latents.windows.models == tuple(model for model in range(6) for _ in range(5))
    of_first = [
        n for n, m in zip(latents.layers.names, latents.layers.models, strict=True) if not m
    ]
    assert of_first == ['stem.weight', 'middle.weight', 'head.weight']
    assert latents.layers.depths[:3] == (0, 0.5, 1)
    assert latents.windows.depths[0] < 0.1
    assert latents.windows.depths[4] > 0.9


def test_a_window_is_pooled_by_hand(
    latents: CollectionLatents,
    autoencoder: WeightAutoencoder,
    opened: list[OpenedModel],
    config: FoundryConfig,
) -> None:
    window = opened[0].window(0, config)
    with torch.no_grad():
        encoded = autoencoder.encode(
            window['tokens'][None], window['positions'][None], window['kinds'][None]
        )[0]
    mean, std = latents.windows.latents[0].chunk(2)
    torch.testing.assert_close(mean, encoded.mean(0))
    torch.testing.assert_close(std, encoded.std(0, correction=0))


def test_padding_is_not_pooled(autoencoder: WeightAutoencoder, opened: list[OpenedModel]) -> None:
    """A model shorter than a window has the depth and the tokens of its own alone."""
    longer = autoencoder.config
    tokens = len(opened[0].reader.layout)
    assert tokens > longer.window
    wide = WeightAutoencoder(replace(longer, window=tokens + 50)).eval()
    found = encode_collection(wide, opened[:1], windows=3)
    assert found.windows.names == (f'tokens 0–{tokens - 1}',)
    assert found.models.latents.isfinite().all()
    assert found.windows.depths[0] == pytest.approx(found.layers.depths[1], abs=0.4)
