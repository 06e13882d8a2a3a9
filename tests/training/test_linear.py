import dataclasses

import pytest
import torch

from torchgeo_geosane.errors import FoundryError
from torchgeo_geosane.foundry import checkpoint
from torchgeo_geosane.foundry.autoencoder import WeightAutoencoder
from torchgeo_geosane.training.linear import Moments, standardise_latents, start_linear
from torchgeo_geosane.training.report import latent_moments


@pytest.fixture
def tokens() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(400, 16, generator=generator) @ torch.randn(16, 16, generator=generator) + 0.3
    )


@pytest.fixture
def positions() -> torch.Tensor:
    return torch.stack([torch.arange(400) + 5000, torch.full((400,), 7), torch.arange(400)], dim=1)


def test_moments_are_those_of_the_whole(tokens):
    moments = Moments(16)
    for run in tokens.split(30):
        moments.add(run)
    torch.testing.assert_close(moments.mean.float(), tokens.mean(0))
    torch.testing.assert_close(moments.std.float(), tokens.std(0, correction=0))


def test_linear_start_is_the_principal_code_wherever_the_tokens_are(foundry, tokens, positions):
    model = WeightAutoencoder(foundry)
    start_linear(model, tokens.split(100))
    output = model.decode(model.encode(tokens[None], positions[None]), positions[None])[0]
    centred = tokens - tokens.mean(0)
    basis = torch.linalg.svd(centred, full_matrices=False).Vh[:8]
    torch.testing.assert_close(
        output, centred @ basis.T @ basis + tokens.mean(0), atol=2e-3, rtol=0
    )


def test_without_layers_and_with_a_latent_as_wide_as_a_token_nothing_is_lost(
    foundry, tokens, positions, tmp_path
):
    model = WeightAutoencoder(
        dataclasses.replace(foundry, num_layers=0, latent_dim=16, projection_dim=0)
    )
    start_linear(model, [tokens])
    checkpoint.save(tmp_path / 'f', model, {})
    read = checkpoint.build(checkpoint.read_checkpoint(tmp_path / 'f'))
    output = read.decode(read.encode(tokens[None], positions[None]), positions[None])[0]
    torch.testing.assert_close(output, tokens, atol=1e-4, rtol=1e-4)


def test_linear_start_leaves_the_blocks_trainable(foundry, tokens, positions):
    model = WeightAutoencoder(foundry)
    start_linear(model, [tokens])
    model.decode(
        model.encode(tokens[None], positions[None]), positions[None]
    ).square().sum().backward()
    blocks = [
        p.grad.abs().sum() for name, p in model.named_parameters() if name.endswith('c_proj.weight')
    ]
    assert len(blocks) == 4
    assert all(grad > 0 for grad in blocks)


@pytest.mark.parametrize(
    'change', [{'detokenizer': 'skip'}, {'layer_types': True}, {'d_model': 14}, {'latent_dim': 20}]
)
def test_linear_start_needs_a_shape_that_holds_it(foundry, tokens, change):
    with pytest.raises(FoundryError, match='linear start'):
        start_linear(WeightAutoencoder(dataclasses.replace(foundry, **change)), [tokens])


@torch.no_grad()
def test_standardising_changes_units_only(foundry, models):
    torch.manual_seed(0)
    model = WeightAutoencoder(foundry).eval()
    for parameter in model.parameters():
        parameter.mul_(4)
    window = models[0].window(3, foundry)
    x, p = window['tokens'][None], window['positions'][None]
    before = model.decode(model.encode(x, p), p)
    standardise_latents(model, latent_moments(model, models, windows=9))
    torch.testing.assert_close(model.decode(model.encode(x, p), p), before, atol=1e-4, rtol=1e-4)
    after = latent_moments(model, models, windows=9)
    torch.testing.assert_close(after.mean, torch.zeros_like(after.mean), atol=1e-4, rtol=0)
    torch.testing.assert_close(after.std, torch.ones_like(after.std), atol=1e-4, rtol=0)


@torch.no_grad()
def test_a_dead_latent_keeps_its_unit(foundry, models):
    model = WeightAutoencoder(foundry).eval()
    model.encoder_comp.weight[0] = 0
    standardise_latents(model, latent_moments(model, models, windows=9))
    assert model.encoder_comp.weight.isfinite().all()
    assert model.decoder_comp.weight.isfinite().all()
