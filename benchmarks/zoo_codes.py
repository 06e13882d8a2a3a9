"""Codes of the zoo's networks: how far they come back, and what those then still tell rightly."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from zoo_material import TOKEN, LoadedFoundry, Material, norms_of, unit_rows, with_norms

from torchgeo_geosane.compare.statistics import Mean
from torchgeo_geosane.foundry.places import PlaceMoments
from torchgeo_geosane.foundry.sampling import Prior

NOISE = (0.3, 0.5)


@dataclass(frozen=True)
class Coded:
    """What a code makes of the test networks.

    Attributes:
        code: Its name.
        latent: Numbers kept of the 36 of a token; None where nothing is coded.
        error: Relative error of the weights, over networks.
        accuracy: Accuracy of the decoded networks.
        worst: Of the worst of them.
    """

    code: str
    latent: int | None
    error: Mean
    accuracy: Mean
    worst: float


def measure(material: Material, code: str, latent: int | None, decoded: Tensor) -> Coded:
    """Look at what a code gave for the test networks."""
    found = material.accuracy(decoded)
    errors = material.errors(decoded).tolist()
    return Coded(code, latent, Mean.of(errors), Mean.of(found.tolist()), found.min().item())


def controls(material: Material) -> Iterator[Coded]:
    """The networks themselves, the averages of the zoo, and white noise."""
    yield measure(material, 'original', None, material.test)
    mean = material.trained.mean(0)
    yield measure(material, 'mean of all weights', None, mean.expand_as(material.test))
    mean = material.trained[material.finished].mean(0)
    yield measure(material, 'mean of finished weights', None, mean.expand_as(material.test))
    generator = torch.Generator().manual_seed(0)
    for size in NOISE:
        noise = torch.randn(material.test.shape, generator=generator) * material.real
        scale = size * material.test.flatten(1).norm(dim=1) / noise.flatten(1).norm(dim=1)
        noisy = material.test + scale.view(-1, 1, 1) * noise
        yield measure(material, f'white noise of {size}', None, noisy)


def linear_codes(material: Material, latent: int) -> Iterator[Coded]:
    """The best linear codes: of all tokens alike, and of every place by itself."""
    trained, test = (unit_rows(material.layout, each) for each in (material.trained, material.test))
    norms = norms_of(material.layout, material.test)
    tokens = trained.flatten(0, 1)
    mean = tokens.mean(0)
    components = torch.linalg.eigh((tokens - mean).T @ (tokens - mean))[1].flip(1)[:, :latent]
    decoded = with_norms(material.layout, (test - mean) @ components @ components.T + mean, norms)
    yield measure(material, 'linear, all tokens alike', latent, decoded)
    moments = PlaceMoments(len(material.layout), TOKEN)
    for network in trained:
        moments.add(network)
    places = moments.fit(material.real)
    coded = torch.stack([places.encode(network, 0) for network in test])
    coded[..., latent:] = 0
    for share, name in ((1, 'linear, by place'), (0.5, 'linear, by place, halved')):
        decoded = with_norms(material.layout, places.decode(share * coded, 0), norms)
        yield measure(material, name, latent, decoded)


def foundry_codes(material: Material, loaded: LoadedFoundry) -> Iterator[Coded]:
    """A foundry: reconstruction; where it draws, the decoded average of latents and drawn networks."""
    latent = loaded.foundry.config.latent_dim
    decoded = loaded.decode(loaded.encode(material.test), norms_of(material.layout, material.test))
    yield measure(material, 'foundry', latent, decoded)
    (known,) = loaded.foundry.known
    if known.density is None:
        return
    latents = loaded.encode(material.trained)
    for what, own in (('latents', latents), ('finished latents', latents[material.finished])):
        mean = loaded.decode(own.mean(0, keepdim=True), loaded.norms)
        yield measure(material, f'mean of {what}', latent, mean.expand_as(material.test))
    for spread in (0.25, 0.5):
        drawn = loaded.decode(draw(loaded, len(material.test), spread), loaded.norms)
        yield measure(material, f'drawn, spread {spread}', latent, drawn)


def scaled_average(material: Material, loaded: LoadedFoundry) -> Coded:
    """The average of finished weights, its rows as long as those of what is drawn."""
    mean = material.trained[material.finished].mean(0, keepdim=True)
    scaled = with_norms(material.layout, mean, loaded.norms).expand_as(material.test)
    return measure(material, 'mean of finished weights, rows scaled', None, scaled)


def draw(loaded: LoadedFoundry, count: int, spread: float) -> Tensor:
    """Latents of so many networks, as the sampler ``prior`` draws them for the seeds from 0."""
    density = loaded.foundry.known[0].density
    if density is None:
        raise SystemExit('this foundry cannot draw without a prompt')
    empty = torch.zeros(1, *density.mean.shape)
    sampler = Prior(spread).of(density)
    return torch.stack([sampler.sample(empty, 0, seed) for seed in range(count)])
