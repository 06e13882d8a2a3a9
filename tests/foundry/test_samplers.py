from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from torchgeo_geosane.foundry.density import LatentDensity
from torchgeo_geosane.foundry.errors import FoundryError
from torchgeo_geosane.foundry.sampling import (
    KDE,
    SAMPLERS,
    Dirichlet,
    JointKDE,
    Linear,
    MeanKDE,
    Prior,
    Reconstruct,
    Sampler,
    Spherical,
)

NOISY: list[Sampler] = [KDE(), JointKDE(), MeanKDE()]
PAIRED: list[type[Linear | Spherical]] = [Linear, Spherical]


def latents(prompts: int, n: int = 700, width: int = 4) -> Tensor:
    return torch.randn(prompts, n, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize('sampler', NOISY, ids=lambda sampler: sampler.name)
def test_fault_2_every_token_and_every_seed_has_noise_of_its_own(sampler: Sampler) -> None:
    """The official code seeds the generator anew for every token: one vector for all of them."""
    prompt = latents(1)
    noise = [(sampler.sample(prompt, 0, seed) - prompt[0]) / 0.2 for seed in (0, 1)]
    assert len(noise[0].unique(dim=0)) == 700
    assert not torch.isclose(noise[0], noise[1]).all(dim=1).any()
    for drawn in noise:
        assert abs(drawn.mean()) < 0.1
        assert abs(drawn.std() - 1) < 0.1
    # Independent from token to token, from place to place, and from seed to seed.
    pairs = [(noise[0][1:], noise[0][:-1]), (noise[0][256:512], noise[0][:256]), tuple(noise)]
    for first, second in pairs:
        correlation = torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1]
        assert abs(correlation) < 0.1


@given(st.sets(st.integers(1, 699), max_size=5), st.integers(0, 2**63 - 1), st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_what_is_drawn_depends_on_seed_and_place_alone(
    cuts: set[int], seed: int, prompts: int
) -> None:
    given_latents = latents(prompts)
    before = torch.get_rng_state()
    for sampler in NOISY:
        whole = sampler.sample(given_latents, 0, seed)
        edges = sorted(cuts | {0, 700})
        parts = [
            sampler.sample(given_latents[:, start:stop], start, seed)
            for start, stop in pairwise(edges)
        ]
        assert torch.equal(torch.cat(parts), whole)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_bandwidth_is_the_standard_deviation() -> None:
    prompt = latents(1)
    narrow, wide = (KDE(bandwidth).sample(prompt, 0, 3) - prompt[0] for bandwidth in (0.1, 0.3))
    torch.testing.assert_close(wide, 3 * narrow, rtol=1e-3, atol=1e-5)
    assert torch.equal(KDE(0.0).sample(prompt, 0, 3), prompt[0])


def test_a_mixture_picks_a_prompt_for_each_token() -> None:
    prompts = latents(3)
    mixed = KDE(0.0).sample(prompts, 0, 0)
    chosen = (mixed == prompts).all(dim=2)
    assert (chosen.sum(dim=0) == 1).all()
    assert (chosen.float().mean(dim=1) > 0.25).all()
    assert KDE().shares(3, 0) == pytest.approx([1 / 3] * 3)


def test_a_joint_mixture_picks_one_prompt_for_all() -> None:
    prompts = latents(3)
    picked = set()
    for seed in range(20):
        drawn = JointKDE(0.0).sample(prompts, 0, seed)
        shares = JointKDE().shares(3, seed)
        assert sorted(shares) == [0, 0, 1]
        assert torch.equal(drawn, prompts[shares.index(1)])
        assert torch.equal(JointKDE(0.0).sample(prompts[:, 300:], 300, seed), drawn[300:])
        picked.add(shares.index(1))
    assert picked == {0, 1, 2}


def test_the_mean_of_the_prompts_is_where_noise_is_added() -> None:
    prompts = latents(3)
    mean = prompts.mean(dim=0)
    torch.testing.assert_close(MeanKDE(0.0).sample(prompts, 0, 0), mean)
    drawn = MeanKDE(0.3).sample(prompts, 0, 5)
    torch.testing.assert_close(drawn - mean, KDE(0.3).sample(mean[None], 0, 5) - mean)
    assert MeanKDE().shares(4, 0) == [0.25] * 4


@pytest.mark.parametrize('sampler', PAIRED)
def test_interpolation_ends_at_the_prompts(sampler: type[Linear | Spherical]) -> None:
    prompts = latents(2)
    torch.testing.assert_close(sampler(0.0).sample(prompts, 0, 0), prompts[0])
    torch.testing.assert_close(sampler(1.0).sample(prompts, 0, 0), prompts[1])
    assert sampler(0.25).shares(2, 0) == [0.75, 0.25]
    assert torch.equal(sampler(0.3).sample(prompts, 0, 0), sampler(0.3).sample(prompts, 9, 7))


def test_the_middle_of_an_arc() -> None:
    prompts = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])
    torch.testing.assert_close(Linear(0.5).sample(prompts, 0, 0), torch.tensor([[0.5, 0.5]]))
    torch.testing.assert_close(Spherical(0.5).sample(prompts, 0, 0), torch.full((1, 2), 0.5**0.5))


@pytest.mark.parametrize(
    ('first', 'second'),
    [
        ([1.0, 2.0], [2.0, 4.0]),
        ([1.0, 2.0], [-1.0, -2.0]),
        ([0.0, 0.0], [3.0, 1.0]),
        ([0.0, 0.0],) * 2,
    ],
)
def test_where_there_is_no_arc_the_line_is_taken(first: list[float], second: list[float]) -> None:
    prompts = torch.tensor([[first], [second]])
    expected = Linear(0.3).sample(prompts, 0, 0)
    torch.testing.assert_close(Spherical(0.3).sample(prompts, 0, 0), expected)


@pytest.mark.parametrize('sampler', PAIRED)
@pytest.mark.parametrize('prompts', [1, 3])
def test_interpolation_wants_two_prompts(sampler: type[Linear | Spherical], prompts: int) -> None:
    with pytest.raises(FoundryError, match=f'between two prompts, it was given {prompts}'):
        sampler().sample(latents(prompts), 0, 0)


def test_reconstruction_draws_nothing() -> None:
    prompts = latents(2)
    assert torch.equal(Reconstruct().sample(prompts, 0, 5), prompts[0])
    assert Reconstruct().shares(2, 5) == [1, 0]


def test_names() -> None:
    assert list(SAMPLERS) == [
        *('kde', 'kde_joint', 'kde_mean', 'linear', 'spherical'),
        *('dirichlet', 'prior', 'reconstruct', 'average'),
    ]


@given(st.integers(2, 6), st.integers(0, 2**63 - 1), st.floats(0.01, 1000))
@settings(max_examples=30, deadline=None)
def test_dirichlet_is_one_convex_mix_for_the_whole_model(
    prompts: int, seed: int, concentration: float
) -> None:
    given_latents, sampler = latents(prompts, 300), Dirichlet(concentration)
    shares = sampler.shares(prompts, seed)
    assert sum(shares) == pytest.approx(1)
    assert min(shares) >= 0
    drawn = sampler.sample(given_latents, 0, seed)
    expected = torch.tensordot(torch.tensor(shares), given_latents, 1)
    torch.testing.assert_close(drawn, expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(sampler.sample(given_latents[:, 77:], 77, seed), drawn[77:])


def test_concentration_says_how_even_the_shares_are() -> None:
    uneven, even = (
        sum(max(Dirichlet(each).shares(4, seed)) for seed in range(50)) / 50 for each in (0.05, 100)
    )
    assert uneven > 0.8
    assert even < 0.35


@given(st.sets(st.integers(1, 89), max_size=4), st.integers(0, 2**63 - 1))
@settings(max_examples=25, deadline=None)
def test_prior_draws_from_the_density_whatever_the_prompt(cuts: set[int], seed: int) -> None:
    density = LatentDensity.fit(latents(30, 90), rank=5)
    sampler = Prior(0.5).of(density)
    before = torch.get_rng_state()
    whole = sampler.sample(torch.zeros(1, 90, 4), 0, seed)
    assert torch.equal(torch.get_rng_state(), before)
    edges = sorted(cuts | {0, 90})
    parts = [
        sampler.sample(torch.ones(1, stop - start, 4), start, seed)
        for start, stop in pairwise(edges)
    ]
    assert torch.equal(torch.cat(parts), whole)
    assert torch.equal(Prior(0.0).of(density).sample(torch.zeros(1, 90, 4), 0, seed), density.mean)
    # What is added lies in the density's directions, one number each.
    directions = density.factors.flatten(1)
    numbers = torch.linalg.lstsq(directions.T, (whole - density.mean).flatten()[:, None]).solution
    torch.testing.assert_close((numbers.T @ directions).view(90, 4), whole - density.mean)


def test_a_density_has_the_spread_of_what_it_was_fitted_to() -> None:
    generator = torch.Generator().manual_seed(3)
    directions = torch.randn(2, 20, 4, generator=generator)
    models = torch.einsum('mk,knd->mnd', torch.randn(500, 2, generator=generator), directions) + 1
    density = LatentDensity.fit(models, rank=8)
    drawn = torch.stack(
        [Prior(1.0).of(density).sample(torch.zeros(1, 20, 4), 0, seed) for seed in range(500)]
    )
    torch.testing.assert_close(drawn.mean(0), models.mean(0), atol=0.3, rtol=0)
    assert drawn.std(0).mean().item() == pytest.approx(models.std(0).mean().item(), rel=0.1)
    assert Prior().shares(1, 0) == [1.0]


def test_a_prior_without_a_density_cannot_draw() -> None:
    with pytest.raises(FoundryError, match="draws from a foundry's density"):
        Prior().sample(latents(1), 0, 0)
