"""Samplers through a spec's URL, around one prompt and several, of one sensor and of two."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from torchgeo_geosane.candidate import Generated
from torchgeo_geosane.errors import SpecError
from torchgeo_geosane.foundry import checkpoint
from torchgeo_geosane.foundry.autoencoder import WeightAutoencoder
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.foundry.sampling import Average
from torchgeo_geosane.generate import create, take_prompt
from torchgeo_geosane.spec import Spec

SIX = ['ukis:6b_l1c', 'ukis:6b_l2a']
STEM = 'conv_stem.weight'
NORM = 'bn1.weight'


@pytest.fixture(scope='module')
def foundry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny foundry that leaves vectors to the prompts."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        config = FoundryConfig(
            d_model=16,
            nhead=2,
            num_layers=1,
            latent_dim=4,
            projection_dim=0,
            tokenisation='matrices',
        )
        model = WeightAutoencoder(config)
    path = tmp_path_factory.mktemp('foundry') / 'foundry.safetensors'
    checkpoint.save(path, model, {})
    return path


def spec_of(foundry: Path, prompts: list[str], sampler: str, sensor: str = 'sentinel2_all') -> Spec:
    query = '&'.join(f'prompt={prompt}' for prompt in prompts)
    return Spec.parse(
        f'geosane://tf_efficientnet_b4?sensor={sensor}&{query}&foundry={foundry}&sampler={sampler}'
    )


def make(
    foundry: Path, prompts: list[str], sampler: str, sensor: str = 'sentinel2_all'
) -> Generated:
    spec = spec_of(foundry, prompts, sampler, sensor)
    return create(spec, [spec.seed])[0]


def prompt(foundry: Path, name: str) -> dict[str, Tensor]:
    return take_prompt(spec_of(foundry, [name], 'kde'))


def test_a_mixture_of_prompts(foundry: Path) -> None:
    mixed = make(foundry, SIX, 'kde')
    assert mixed.tensors[STEM].shape[1] == 13
    assert [record.name for record in mixed.provenance.prompts] == SIX
    assert 'sampler=kde&bandwidth=0.2' in mixed.provenance.url
    # What is not generated is the mean of the prompts.
    norms = torch.stack([prompt(foundry, name)[NORM] for name in SIX])
    torch.testing.assert_close(mixed.tensors[NORM], norms.mean(dim=0))
    alone = make(foundry, SIX[:1], 'kde')
    generated = 'blocks.1.0.conv_pw.weight'
    assert not torch.equal(mixed.tensors[generated], alone.tensors[generated])


def test_prompts_of_four_and_of_six_bands(foundry: Path) -> None:
    mixed = make(foundry, ['ukis:6b_l1c', 'ukis:4b_l1c'], 'kde')
    assert mixed.provenance.coverage[STEM] == 'adapted'
    assert [len(record.bands) for record in mixed.provenance.prompts] == [6, 4]
    assert mixed.tensors[STEM].shape[1] == 13


def test_a_stem_is_adapted_where_any_prompt_in_it_sees_other_bands(foundry: Path) -> None:
    prompts = ['ukis:6b_l1c', 'ukis:4b_l1c']
    mixed = make(foundry, prompts, 'kde_mean', 'sentinel2_6')
    assert mixed.provenance.coverage[STEM] == 'adapted'
    only_six = make(foundry, prompts, 'linear&fraction=0', 'sentinel2_6')
    assert only_six.provenance.coverage[STEM] == 'generated'
    assert make(foundry, SIX, 'kde_mean', 'sentinel2_6').provenance.coverage[STEM] == 'generated'


def test_interpolation_ends_at_a_prompts_reconstruction(foundry: Path) -> None:
    end = make(foundry, SIX, 'linear&fraction=1.0')
    alone = make(foundry, SIX[1:], 'reconstruct')
    for name, tensor in alone.tensors.items():
        if alone.provenance.coverage[name] != 'initialised':
            torch.testing.assert_close(end.tensors[name], tensor, rtol=1e-4, atol=1e-5)


def test_the_average_of_one_prompt_is_the_prompt(foundry: Path) -> None:
    plain = make(foundry, SIX[:1], 'average')
    expected = prompt(foundry, SIX[0])
    assert all(torch.equal(plain.tensors[name], tensor) for name, tensor in expected.items())
    kinds = set(plain.provenance.coverage.values())
    assert kinds == {'prompt', 'adapted', 'initialised'}, 'the foundry has no part in it'


def test_an_average_of_an_architecture_that_the_foundry_knows() -> None:
    spec = Spec('mobilenetv2_100', 'rgb', ('random',), sampler=Average())
    made, prompt = create(spec, [0])[0].tensors, take_prompt(spec)
    assert all(torch.equal(made[name], tensor) for name, tensor in prompt.items())


def test_the_average_of_prompts_of_other_bands(foundry: Path) -> None:
    mixed = make(foundry, ['ukis:6b_l1c', 'ukis:4b_l1c'], 'average')
    both = [prompt(foundry, name) for name in ('ukis:6b_l1c', 'ukis:4b_l1c')]
    for name in (NORM, 'blocks.1.0.conv_pw.weight'):
        mean = (both[0][name] + both[1][name]) / 2
        torch.testing.assert_close(mixed.tensors[name], mean)
    assert mixed.tensors[STEM].shape[1] == 13


def test_interpolation_of_one_prompt(foundry: Path) -> None:
    with pytest.raises(SpecError, match="the sampler 'spherical' takes 2 prompts, it was given 1"):
        make(foundry, SIX[:1], 'spherical')
