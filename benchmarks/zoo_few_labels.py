"""Few labels on ground that no network of the zoo has seen: from which weights to start?

Five patches of each of four classes, from a part of the east; balanced accuracy on the other part,
without finetuning and after some steps. Paired seeds: the labels, and which networks of the zoo.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import zoo_networks
from torch import Tensor
from zoo_codes import draw
from zoo_material import LoadedFoundry, Material, norms_of, with_norms
from zoo_networks import Patches, Stack

from torchgeo_geosane.foundry.sampling import Dirichlet

if TYPE_CHECKING:
    from collections.abc import Callable

CLASSES = (0, 2, 3, 4)
STEPS = (0, 10, 50)
RATES = (3e-4, 1e-3, 5e-3)
_LABELS = 5
_MEMBERS = 8
Found = dict[tuple[float, int], Tensor]  # Of every seed, by learning rate and step.


@dataclass(frozen=True)
class Labels:
    """What is known and what is asked, for every seed.

    Attributes:
        known: Images ``[seeds, n, …]`` and labels of the patches to train on.
        test: Patches to tell balanced accuracy by.
    """

    known: Patches
    test: Patches

    @classmethod
    def draw(cls, seeds: int) -> 'Labels':
        """Draw labels; the patches of the test part are nobody's."""
        east = zoo_networks.read_patches('east', 3_000, 3)
        wanted = torch.isin(east.labels, torch.tensor(CLASSES))
        images, labels = east.images[wanted], east.labels[wanted]
        half = len(labels) // 2
        chosen = []
        for seed in range(seeds):
            order = torch.randperm(half, generator=torch.Generator().manual_seed(50 + seed))
            of_class = [order[labels[order] == each][:_LABELS] for each in CLASSES]
            chosen.append(torch.cat(of_class))
        picked = torch.stack(chosen)
        known = Patches(images[picked], labels[picked])
        return cls(known, Patches(images[half:], labels[half:]))


def balanced_accuracy(told: Tensor, labels: Tensor) -> Tensor:
    """Mean over classes of the share told rightly: ``[networks]`` of ``[networks, n]``."""
    shares = [(told[:, labels == each] == each).float().mean(1) for each in CLASSES]
    return torch.stack(shares).mean(0)


def finetune(start: Stack, labels: Labels) -> Found:
    """Balanced accuracy of every seed's network at each of ``RATES`` after each of ``STEPS``."""
    return ensemble([start], labels)


def ensemble(members: list[Stack], labels: Labels) -> Found:
    """The same for the mean of what several networks say, each finetuned by itself."""
    return {
        (rate, step): balanced_accuracy(said.argmax(-1), labels.test.labels)
        for rate in RATES
        for step, said in _said(members, labels, rate).items()
    }


def _said(members: list[Stack], labels: Labels, rate: float) -> dict[int, Tensor]:
    """What networks say of the test patches after each of ``STEPS``, summed over members."""
    kept: dict[int, Tensor] = {}
    for stack in members:
        trained = {name: tensor.clone() for name, tensor in stack.items()}
        count = zoo_networks.size_of(stack)
        rates, decay = torch.full((count,), rate), torch.zeros(count)
        steps = zoo_networks.train(trained, lambda _: labels.known, rates, decay, STEPS[1:])
        for step, now in [(0, stack), *steps]:
            said = zoo_networks.logits(now, labels.test.images).softmax(-1)
            kept[step] = kept.get(step, torch.zeros_like(said)) + said
    return kept


def greedy_soup(tokens: Tensor, material: Material, known: Patches) -> Tensor:
    """The average to which each network is added that does not make it worse on the known labels."""
    order = _scores(tokens, material, known).argsort(descending=True)
    soup = [tokens[order[0]]]
    best = _scores(soup[0][None], material, known)[0]
    for number in order[1:]:
        tried = torch.stack([*soup, tokens[number]]).mean(0)
        score = _scores(tried[None], material, known)[0]
        if score >= best:
            soup.append(tokens[number])
            best = score
    return torch.stack(soup).mean(0)


def _scores(tokens: Tensor, material: Material, known: Patches) -> Tensor:
    told = zoo_networks.logits(material.networks(tokens), known.images).argmax(-1)
    return balanced_accuracy(told, known.labels)


def measure(
    material: Material, unaligned: Material, loaded: LoadedFoundry, seeds: int
) -> dict[str, Found]:
    """Balanced accuracy from every start: ``[seeds]`` at each of ``RATES`` after each of ``STEPS``."""
    labels = Labels.draw(seeds)
    finished = material.finished
    networks, latents = material.trained[finished], loaded.encode(material.trained)
    apart = unaligned.trained[unaligned.finished]
    generator = torch.Generator().manual_seed(3)
    picks = [torch.randperm(len(networks), generator=generator)[:_MEMBERS] for _ in range(seeds)]
    apart_picks = [pick % len(apart) for pick in picks]
    own = torch.stack([networks[pick[0]] for pick in picks])
    own_latents, own_norms = loaded.encode(own), norms_of(material.layout, own)

    def noisy(tokens: Tensor, size: float) -> Tensor:
        noise = torch.randn(tokens.shape, generator=generator) * material.real
        scale = size * tokens.flatten(1).norm(dim=1) / noise.flatten(1).norm(dim=1)
        return tokens + scale.view(-1, 1, 1) * noise

    def mixed() -> Tensor:
        sampler, draws, norms = Dirichlet(1.0), [], []
        for seed, pick in enumerate(picks):
            draws.append(sampler.sample(loaded.encode(networks[pick]), 0, seed))
            shares = torch.tensor(sampler.shares(len(pick), seed))
            norms.append(shares @ norms_of(material.layout, networks[pick]))
        return loaded.decode(torch.stack(draws), torch.stack(norms))

    kernel = own_latents + 0.2 * torch.randn(own_latents.shape, generator=generator)

    def repeated(one: Tensor) -> Tensor:
        return one.expand(seeds, *one.shape)

    starts: dict[str, Callable[[], Tensor]] = {
        'trained member': lambda: own,
        'member with white noise of .2': lambda: noisy(own, 0.2),
        'soup of 8, unaligned': lambda: torch.stack([apart[p].mean(0) for p in apart_picks]),
        'soup of 8': lambda: torch.stack([networks[pick].mean(0) for pick in picks]),
        'soup of all finished': lambda: repeated(networks.mean(0)),
        'soup of all finished, rows scaled': lambda: repeated(
            with_norms(material.layout, networks.mean(0)[None], loaded.norms)[0]
        ),
        'greedy soup of 8': lambda: torch.stack(
            [
                greedy_soup(networks[pick], material, Patches(images, known))
                for pick, images, known in zip(
                    picks, labels.known.images, labels.known.labels, strict=True
                )
            ]
        ),
        'member, reconstructed': lambda: loaded.decode(own_latents, own_norms),
        'KDE of .2 around a member': lambda: loaded.decode(kernel, own_norms),
        'average of all latents': lambda: repeated(
            loaded.decode(latents.mean(0)[None], loaded.norms)[0]
        ),
        'average of finished latents': lambda: repeated(
            loaded.decode(latents[finished].mean(0)[None], loaded.norms)[0]
        ),
        'drawn without a prompt, spread .25': lambda: loaded.decode(
            draw(loaded, seeds, 0.25), loaded.norms
        ),
        'Dirichlet mix of 8': mixed,
    }
    make = getattr(zoo_networks, material.architecture)
    fresh = zoo_networks.initialise(make, range(10_000, 10_000 + seeds))
    found = {'scratch': finetune(fresh, labels)}
    found |= {name: finetune(material.networks(start()), labels) for name, start in starts.items()}
    members = [
        material.networks(torch.stack([networks[pick[i]] for pick in picks]))
        for i in range(len(picks[0]))
    ]
    found['ensemble of 8 members'] = ensemble(members, labels)
    return found
