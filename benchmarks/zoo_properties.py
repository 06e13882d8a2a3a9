"""What latents tell of a network: accuracy, steps, learning rate; and whose training it is from."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from zoo_material import LoadedFoundry, Material, Member, norms_of

_ENSEMBLE = 3
_STEPS = 300
_DROPOUT = 0.3
_SETTINGS = 'step, rate and decay themselves'

PROPERTIES: dict[str, Callable[[Member], float]] = {
    'accuracy': lambda member: member.accuracy,
    'step (log)': lambda member: torch.tensor(float(member.step)).log().item(),
    'learning rate (log)': lambda member: torch.tensor(member.learning_rate).log().item(),
}


@dataclass(frozen=True)
class Told:
    """How well a property is told of networks of trainings that were not learned from.

    Attributes:
        what: The property.
        features: What it is told by.
        by: The regression.
        r2: Share of the variance that is told.
        low: Lower end of its 95 % interval, over trainings.
        high: Upper end.
    """

    what: str
    features: str
    by: str
    r2: float
    low: float
    high: float


def statistics_of(material: Material, tokens: Tensor) -> Tensor:
    """Simple statistics of every tensor: mean, spread, five quantiles; ``[networks, features]``."""
    found = []
    levels = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])
    for segment in material.layout.segments:
        values = tokens[:, segment.start : segment.stop].flatten(1)[:, : segment.entries]
        norm = values.norm(dim=1, keepdim=True).log()
        spread = torch.stack([values.mean(1), values.std(1)], dim=1)
        found += [norm, spread, torch.quantile(values, levels, dim=1).T]
    return torch.cat(found, dim=1)


def measure(material: Material, loaded: LoadedFoundry) -> list[Told]:
    """Tell every property by statistics, by latents, and by both; accuracy by what was set, too."""
    members = material.members, material.checkpoint_members
    tokens = material.trained, material.checkpoints
    statistics = [statistics_of(material, each) for each in tokens]
    latents = [_pooled(material, loaded, each) for each in tokens]
    features = {
        'statistics': statistics,
        'latents': latents,
        'statistics and latents': [
            torch.cat(pair, dim=1) for pair in zip(statistics, latents, strict=True)
        ],
        _SETTINGS: [torch.stack([_settings(each) for each in own]) for own in members],
    }
    known, truth = (
        torch.tensor([[value(each) for value in PROPERTIES.values()] for each in own])
        for own in members
    )
    target = _standardise(known, known)
    found = []
    for name, (learned, asked) in features.items():
        own, others = _standardise(learned, learned), _standardise(asked, learned)
        for by, regress in (('ridge', _ridge), ('networks', _networks)):
            told = regress(own, target, others) * known.std(0) + known.mean(0)
            found += [
                Told(what, name, by, *_r2(truth[:, i], told[:, i], members[1]))
                for i, what in enumerate(PROPERTIES)
                if name != _SETTINGS or what == 'accuracy'
            ]
    return sorted(found, key=lambda each: list(PROPERTIES).index(each.what))


def _settings(member: Member) -> Tensor:
    return torch.tensor([member.step, member.learning_rate, member.weight_decay]).log()


def _pooled(material: Material, loaded: LoadedFoundry, tokens: Tensor) -> Tensor:
    """All latents and the norms of rows; of the latents mean, spread and size in every tensor."""
    latents = loaded.encode(tokens)
    norms = norms_of(material.layout, tokens).clamp(min=1e-6).log()
    found = [latents.flatten(1), norms]
    for segment in material.layout.segments:
        own = latents[:, segment.start : segment.stop]
        found += [own.mean(1), own.std(1, correction=0), own.square().mean((1, 2))[:, None].log()]
    return torch.cat(found, dim=1)


def _standardise(values: Tensor, by: Tensor) -> Tensor:
    return (values - by.mean(0)) / by.std(0).clamp(min=1e-6)


def _ridge(learned: Tensor, targets: Tensor, asked: Tensor) -> Tensor:
    """Ridge regression of each target; its strength is chosen on a fifth of what is learned from."""
    return torch.stack([_ridge_of(learned, target, asked) for target in targets.T], dim=1)


def _ridge_of(learned: Tensor, target: Tensor, asked: Tensor) -> Tensor:
    kept = len(learned) - len(learned) // 5

    def fit(rows: slice, strength: float) -> Callable[[Tensor], Tensor]:
        known = learned[rows].double()
        products = known @ known.T
        weight = strength * products.diagonal().mean()
        solved = torch.linalg.solve(
            products + weight * torch.eye(len(known), dtype=torch.float64), target[rows].double()
        )
        return lambda other: (other.double() @ known.T @ solved).float()

    def loss(strength: float) -> float:
        told = fit(slice(None, kept), strength)(learned[kept:])
        return (told - target[kept:]).square().mean().item()

    best = min((10.0**power for power in range(-4, 3)), key=loss)
    return fit(slice(None), best)(asked)


def _networks(learned: Tensor, targets: Tensor, asked: Tensor) -> Tensor:
    """The mean of a few small networks that tell all targets at once."""
    total = torch.zeros(len(asked), targets.shape[1])
    for seed in range(_ENSEMBLE):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = nn.Sequential(
                nn.Dropout(_DROPOUT),
                nn.Linear(learned.shape[1], 64),
                nn.GELU(),
                nn.Dropout(_DROPOUT),
                nn.Linear(64, targets.shape[1]),
            )
            optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.1)
            schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=_STEPS)
            for _ in range(_STEPS):
                rows = torch.randint(len(learned), (256,))
                loss = (network(learned[rows]) - targets[rows]).square().mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
            with torch.no_grad():
                total += network.eval()(asked) / _ENSEMBLE
    return total


def _r2(truth: Tensor, told: Tensor, members: list[Member]) -> tuple[float, float, float]:
    """The share of variance told, with a bootstrap over trainings."""
    trainings = sorted({member.training for member in members})
    rows = {
        each: torch.tensor([i for i, member in enumerate(members) if member.training == each])
        for each in trainings
    }

    def share(chosen: Tensor) -> float:
        own = truth[chosen]
        lost = (own - told[chosen]).square().sum()
        return (1 - lost / (own - own.mean()).square().sum()).item()

    generator = torch.Generator().manual_seed(0)
    drawn = []
    for _ in range(1000):
        picked = torch.randint(len(trainings), (len(trainings),), generator=generator).tolist()
        drawn.append(share(torch.cat([rows[trainings[i]] for i in picked])))
    low, high = torch.tensor(drawn).quantile(torch.tensor([0.025, 0.975])).tolist()
    return share(torch.arange(len(truth))), low, high


@dataclass(frozen=True)
class Neighbours:
    """How often the network nearest to another is from the same training.

    Attributes:
        latents: By latents.
        weights: By weights.
        chance: By drawing one at random.
    """

    latents: float
    weights: float
    chance: float


def find_neighbours(material: Material, loaded: LoadedFoundry) -> Neighbours:
    """Look at the test networks at every checkpoint."""
    trainings = torch.tensor([member.training for member in material.checkpoint_members])
    same = trainings[:, None] == trainings[None]
    same.fill_diagonal_(False)

    def share(features: Tensor) -> float:
        features = nn.functional.normalize(features - features.mean(0), dim=1)
        likeness = (features @ features.T).fill_diagonal_(-2)
        return same[torch.arange(len(same)), likeness.argmax(1)].float().mean().item()

    return Neighbours(
        share(loaded.encode(material.checkpoints).flatten(1)),
        share(material.checkpoints.flatten(1)),
        same.float().sum().item() / (len(same) * (len(same) - 1)),
    )
