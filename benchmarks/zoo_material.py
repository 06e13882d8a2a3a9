"""What the benchmark of the zoo works on: networks in files, their manifest, tokens, foundries.

Everything is made once and found again: an interrupted run goes on.
"""

import csv
import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import zoo_networks
from torch import Tensor
from zoo_networks import Patches, Stack

from torchgeo_geosane.alignment import align, groups_of
from torchgeo_geosane.atomic import replacing
from torchgeo_geosane.collection import read_manifest
from torchgeo_geosane.collection.folders import FolderSource
from torchgeo_geosane.collection.gather import Split, TokenCount, gather
from torchgeo_geosane.collection.sources import Sources
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.foundry.foundry import Foundry
from torchgeo_geosane.foundry.layout import Layout, Segment
from torchgeo_geosane.foundry.safetensors_writer import write_safetensors
from torchgeo_geosane.foundry.source import SafetensorsSource
from torchgeo_geosane.foundry.tokens import TokenReader, TokenWriter
from torchgeo_geosane.training import CollectionConfig, OptimisationConfig
from torchgeo_geosane.training.data import FoundryDataModule

TOKEN = 36
Norms = Tensor  # Of the rows of every matrix, one tensor's after the other: [networks, rows].
# Patches of the west to train on, and of the east, which no network sees, to tell accuracy by.
TRAINING, TEST = ('west', 12_000, 1), ('east', 2_000, 2)
_PER_PART = 64
_OWN_PATCHES = 3_000
_BATCH = 32


@dataclass(frozen=True)
class Plan:
    """A zoo.

    Attributes:
        architecture: One of ``zoo_networks``.
        trainings: How many networks are trained, from random weights each.
        test: How many of them, the first ones, are no part of the collection.
        checkpoints: After how many steps each is kept.
        held_out: Share of the collection's trainings by which a foundry tells when to stop.
    """

    architecture: str = 'zoo_cnn'
    trainings: int = 640
    test: int = 64
    checkpoints: tuple[int, ...] = (60, 120, 200, 300)
    held_out: float = 0.1


SMALL = Plan(trainings=32, test=8, checkpoints=(40, 80, 120), held_out=0.2)


@dataclass(frozen=True)
class Member:
    """A network of the zoo.

    Attributes:
        file: Where it lies, below the zoo's folder.
        training: Number of its training.
        step: Steps it was trained for.
        learning_rate: Its learning rate.
        weight_decay: Its weight decay.
        accuracy: Share of the patches in the east that it tells rightly.
    """

    file: str
    training: int
    step: int
    learning_rate: float
    weight_decay: float
    accuracy: float


def make_zoo(folder: Path, plan: Plan) -> list[Member]:
    """Train what is lacking of a zoo.

    Each training begins at weights of its own, sees 3,000 of the 12,000 patches of the west, and has
    a learning rate from .001 to .01 and a weight decay from .0001 to .01.
    """
    members: list[Member] = []
    for first in range(0, plan.trainings, _PER_PART):
        table = folder / f'part_{first:05d}.csv'
        if not table.exists():
            _train_part(folder, plan, range(first, min(first + _PER_PART, plan.trainings)), table)
        with table.open(newline='') as file:
            members += [_member(row) for row in csv.DictReader(file)]
    return members


def _train_part(folder: Path, plan: Plan, trainings: range, table: Path) -> None:
    patches, test = zoo_networks.read_patches(*TRAINING), zoo_networks.read_patches(*TEST)
    generator = torch.Generator().manual_seed(trainings.start)
    count = len(trainings)
    rates = 10 ** (torch.rand(count, generator=generator) - 3)
    decays = 10 ** (2 * torch.rand(count, generator=generator) - 4)
    orders = [torch.randperm(len(patches.labels), generator=generator) for _ in trainings]
    own = torch.stack(orders)[:, :_OWN_PATCHES]

    def images(_: int) -> Patches:
        drawn = torch.randint(own.shape[1], (count, _BATCH), generator=generator)
        chosen = own.gather(1, drawn)
        return Patches(patches.images[chosen], patches.labels[chosen])

    make = getattr(zoo_networks, plan.architecture)
    start = zoo_networks.initialise(make, trainings)
    rows = []
    for step, stack in zoo_networks.train(start, images, rates, decays, plan.checkpoints):
        found = zoo_networks.accuracy(stack, test).tolist()
        for number, state in enumerate(zoo_networks.unstack(stack)):
            training = trainings[number]
            place = 'test' if training < plan.test else 'models'
            file = f'{place}/t{training:05d}_{step:04d}.safetensors'
            (folder / place).mkdir(parents=True, exist_ok=True)
            write_safetensors(folder / file, state, {})
            values = rates[number].item(), decays[number].item(), found[number]
            rows.append(Member(file, training, step, *values))
    with replacing(table) as provisional, provisional.open('w', newline='') as stream:
        writer = csv.DictWriter(stream, [field.name for field in dataclasses.fields(Member)])
        writer.writeheader()
        writer.writerows(dataclasses.asdict(row) for row in rows)


def _member(row: dict[str, str]) -> Member:
    hints = {'training': int, 'step': int, 'file': str}
    return Member(**{name: hints.get(name, float)(value) for name, value in row.items()})


def collect_zoo(folder: Path, plan: Plan, align_units: bool = True) -> Path:
    """The manifest of a zoo: lineages found, every network aligned to one, some held out."""
    manifest = folder / ('manifest.jsonl' if align_units else 'manifest_unaligned.jsonl')
    if not manifest.exists():
        source = FolderSource(
            path=folder / 'models',
            licence='MIT',
            modality='optical',
            task='land cover, seven classes',
            architecture=plan.architecture,
        )
        gather(
            manifest,
            Sources(folders=(source,)),
            tokens=TokenCount(size=TOKEN),
            split=Split(held_out=plan.held_out),
            align=align_units,
        )
    return manifest


def norms_of(layout: Layout, tokens: Tensor) -> Norms:
    """Norms of the rows of networks' matrices."""
    return torch.cat(
        [_rows(segment, tokens).norm(dim=2) for segment in layout.segments],
        dim=1,
    )


def with_norms(layout: Layout, tokens: Tensor, norms: Norms) -> Tensor:
    """Networks whose rows have other norms; rows of zeros stay."""
    result = tokens.clone()
    own = norms.split([segment.rows for segment in layout.segments], dim=1)
    for segment, wanted in zip(layout.segments, own, strict=True):
        rows = _rows(segment, result)
        rows *= (wanted / rows.norm(dim=2).clamp(min=1e-12))[..., None]
    return result


def unit_rows(layout: Layout, tokens: Tensor) -> Tensor:
    """Networks as a foundry with ``row_scale: rms`` reads them: every row's mean square is 1."""
    sizes = [torch.full((1, segment.rows), segment.columns**0.5) for segment in layout.segments]
    return with_norms(layout, tokens, torch.cat(sizes, dim=1))


def _rows(segment: Segment, tokens: Tensor) -> Tensor:
    """The part of tokens ``[networks, n, 36]`` that is one matrix, as its rows; a view."""
    own = tokens[:, segment.start : segment.stop].flatten(1)
    return own[:, : segment.entries].unflatten(1, (segment.rows, segment.columns))


@dataclass(frozen=True)
class Material:
    """A zoo as tokens.

    Attributes:
        architecture: What the networks are.
        layout: Where each tensor sits.
        trained: Tokens of the networks that codes are fitted to, ``[models, n, 36]``.
        members: What is known of these.
        test: Tokens of finished networks that are no part of the collection, in its order.
        checkpoints: The same at every checkpoint.
        checkpoint_members: What is known of these.
        template: A state dict with the other tensors of a network.
    """

    architecture: str
    layout: Layout
    trained: Tensor
    members: list[Member]
    test: Tensor
    checkpoints: Tensor
    checkpoint_members: list[Member]
    template: dict[str, Tensor]

    @functools.cached_property
    def real(self) -> Tensor:
        """Which entries are no padding."""
        return self.layout.mask(0, len(self.layout))

    @functools.cached_property
    def finished(self) -> Tensor:
        """Which of the networks that codes are fitted to are at the end of their training."""
        last = max(member.step for member in self.members)
        return torch.tensor([member.step == last for member in self.members])

    def networks(self, tokens: Tensor) -> Stack:
        """Tokens ``[networks, n, 36]`` as networks; norms get statistics of the training patches."""
        states = []
        for own in tokens:
            state = {name: tensor.clone() for name, tensor in self.template.items()}
            TokenWriter(state, self.layout).write(0, own)
            states.append(state)
        return zoo_networks.condition(
            zoo_networks.stack(states), zoo_networks.read_patches(*TRAINING)
        )

    def accuracy(self, tokens: Tensor) -> Tensor:
        """Share of the east's patches that the networks of some tokens tell rightly."""
        return zoo_networks.accuracy(self.networks(tokens), zoo_networks.read_patches(*TEST))

    def errors(self, decoded: Tensor) -> Tensor:
        """Relative error of every test network: ``[networks]``."""
        difference = ((decoded - self.test) * self.real).flatten(1).norm(dim=1)
        return difference / self.test.flatten(1).norm(dim=1)


def read_material(folder: Path, members: Sequence[Member], manifest: Path) -> Material:
    """Read a zoo in the order that a manifest gives it."""
    config = dataclasses.replace(foundry_config(4, place_code=False), row_scale='none')
    data = FoundryDataModule(
        config, CollectionConfig(manifest=manifest), OptimisationConfig(steps=1, gamma=0)
    )
    data.setup()
    by_file = {member.file: member for member in members}
    layout = data.models[0].layout
    trained = torch.stack([each.plain_reader.read(0, len(layout)) for each in data.trained])
    own = [by_file[f'models/{opened.entry.file}'] for opened in data.trained]
    names = {entry.name: entry for entry in read_manifest(manifest)}
    reference = data.models[0].entry.reference
    target = folder / 'models' / names[reference].file if reference else None
    test = sorted(
        (member for member in members if member.file.startswith('test/')),
        key=lambda member: (member.training, -member.step),
    )
    tokens, view = [], None
    for member in test:
        source = SafetensorsSource(folder / member.file)
        if target and member.step == max(each.step for each in members):
            to = SafetensorsSource(target)
            floating = {n: source.shape(n) for n in source.names() if 'num' not in n}
            view = align(source, to, groups_of(floating, None)).view
        ordered = view(source) if view else source
        tokens.append(TokenReader(ordered, layout).read(0, len(layout)))
    last = [member.step == max(each.step for each in members) for member in test]
    return Material(
        data.models[0].entry.architecture or '',
        layout,
        trained,
        own,
        torch.stack([each for each, final in zip(tokens, last, strict=True) if final]),
        torch.stack(tokens),
        test,
        {name: source.read(name).clone() for name in source.names()},
    )


def foundry_config(
    latent: int, layout: Layout | None = None, place_code: bool = True
) -> FoundryConfig:
    """A foundry that sees a whole network at once."""
    segments = layout.segments if layout else ()
    longest = max((segment.stop - segment.start for segment in segments), default=1)
    return FoundryConfig(
        d_model=64,
        nhead=4,
        num_layers=2,
        latent_dim=latent,
        token_size=TOKEN,
        row_scale='rms',
        window=len(layout) if layout else 1,
        halo=0,
        projection_dim=0,
        place_code=place_code,
        positions='learned' if layout else 'functional',
        max_positions=(len(layout), len(segments), longest) if layout else None,
    )


@dataclass(frozen=True)
class LoadedFoundry:
    """A foundry, ready for whole networks of one layout."""

    foundry: Foundry
    layout: Layout

    @torch.inference_mode()
    def encode(self, tokens: Tensor) -> Tensor:
        """Latents of tokens ``[networks, n, 36]``: ``[networks, n, latent_dim]``."""
        places = self.foundry.places(self.layout)
        scaled = unit_rows(self.layout, tokens)
        coded = torch.stack([places.encode(each, 0) if places else each for each in scaled])
        return torch.cat(
            [self.foundry.model.encode(run, self._positions) for run in coded.split(64)]
        )

    @torch.inference_mode()
    def decode(self, latents: Tensor, norms: Norms) -> Tensor:
        """Tokens of latents; their rows get norms, as generation gives them those of the prompts."""
        decoded = torch.cat(
            [self.foundry.model.decode(run, self._positions) for run in latents.split(64)]
        )
        places = self.foundry.places(self.layout)
        tokens = places.decode(decoded, 0) if places else decoded
        return with_norms(self.layout, tokens, norms)

    @functools.cached_property
    def norms(self) -> Norms:
        """Of its reference's rows: those that what is drawn without a prompt gets."""
        reference = self.foundry.known[0].reference
        if reference is None:
            raise SystemExit('this foundry keeps no reference')
        tokens = TokenReader(reference, self.layout).read(0, len(self.layout))
        return norms_of(self.layout, tokens[None])

    @functools.cached_property
    def _positions(self) -> Tensor:
        return self.layout.positions(0, len(self.layout))[None]
