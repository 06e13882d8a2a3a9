"""What training finds out about the architectures of a collection, and the weights it keeps."""

import csv
import dataclasses
from fnmatch import fnmatch
from pathlib import Path

import pytest
import torch
from tiny import NAME, collect, train_tiny, write_networks

from torchgeo_geosane.cli.foundry_info import describe
from torchgeo_geosane.collection import CollectionError, read_manifest, write_manifest
from torchgeo_geosane.collection import collect as collect_models
from torchgeo_geosane.errors import FoundryError
from torchgeo_geosane.foundry.foundry import Foundry
from torchgeo_geosane.training import OpenedModel


@pytest.fixture(scope='module')
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('known')
    return collect(write_networks(folder / 'models', 4))


def hold_out(manifest: Path, to: Path, *trainings: int) -> Path:
    entries = [
        dataclasses.replace(entry, split='held_out')
        if int(Path(entry.file).name[1]) in trainings
        else entry
        for entry in read_manifest(manifest)
    ]
    write_manifest(to, entries)
    return to


def test_a_training_says_what_it_knows(manifest: Path, tmp_path: Path) -> None:
    held = hold_out(manifest, tmp_path / 'held.jsonl', 3)
    (known,) = Foundry.load(str(train_tiny(held, tmp_path / 'f'))).known
    record = known.record
    assert (record.architecture, record.trained, record.held_out, record.lineages) == (
        NAME,
        6,
        2,
        3,
    )
    assert record.error is not None
    assert record.held_out_error is not None
    assert 0 < record.error < record.held_out_error
    assert record.draws_not is None
    assert known.density is not None
    assert len(known.density.factors) == 2  # Three lineages span a plane.
    reference = next(e for e in read_manifest(held) if e.name == record.reference)
    assert reference.split == 'trained'
    assert known.reference is not None
    told = describe(str(tmp_path / 'f'))
    assert 'in the components of its place' in told
    assert f'{NAME}  6        2         3' in told
    assert 'not measured' in told
    assert 'cannot be drawn' not in told


def test_the_linear_start_is_the_linear_code_of_every_place(manifest: Path, tmp_path: Path) -> None:
    """What is lost is what lies beyond the first numbers of each place."""
    folder = train_tiny(manifest, tmp_path / 'f')
    with (folder / 'training.csv').open() as file:
        start = float(next(csv.DictReader(file))['relative_error/trained'])
    (known,) = Foundry.load(str(folder)).known
    tokens, coded = [], []
    assert known.places is not None
    config = Foundry.load(str(folder)).config
    for model in collect_models([], read_manifest(manifest)):
        opened = OpenedModel.open(model, config, held_out=False)
        tokens.append(opened.plain_reader.read(0, len(known.layout)))
        coded.append(known.places.encode(tokens[-1], 0))
    lost = torch.stack(coded)[..., config.latent_dim :].square().sum()
    expected = (lost / torch.stack(tokens).square().sum()).sqrt().item()
    assert start == pytest.approx(expected, rel=0.02)


def test_the_best_weights_are_kept_the_start_among_them(manifest: Path, tmp_path: Path) -> None:
    """A rate at which nothing is learned: what is kept is the start."""
    held = hold_out(manifest, tmp_path / 'held.jsonl', 3)
    wild = train_tiny(
        held, tmp_path / 'wild', learning_rate=1.0, keep_best=True, steps=4, validations=2
    )
    calm = train_tiny(held, tmp_path / 'calm', learning_rate=1e-12, keep_best=True)
    errors = [Foundry.load(str(folder)).known[0].record.held_out_error for folder in (wild, calm)]
    assert errors[0] == pytest.approx(errors[1], rel=1e-3)
    with pytest.raises(FoundryError, match=r'keep_best .* none is: hold some'):
        train_tiny(manifest, tmp_path / 'none', keep_best=True)


@pytest.mark.parametrize(
    ('trainings', 'align', 'message'),
    [
        (1, True, 'of 1 lineage nothing tells what varies between networks'),
        (2, True, 'of 2 lineages nothing tells'),
        (4, False, 'its networks are in no common order'),
    ],
)
def test_why_networks_cannot_be_drawn(
    trainings: int, align: bool, message: str, tmp_path: Path
) -> None:
    manifest = collect(write_networks(tmp_path / 'models', trainings), align)
    folder = train_tiny(manifest, tmp_path / 'f')
    (known,) = Foundry.load(str(folder)).known
    assert known.density is None
    assert message in (known.record.draws_not or '')
    assert f'{NAME} cannot be drawn without a prompt: ' in describe(str(folder))


def test_what_is_too_large_for_the_file_is_left_out(manifest: Path, tmp_path: Path) -> None:
    (known,) = Foundry.load(str(train_tiny(manifest, tmp_path / 'f', kept_numbers=0))).known
    assert known.places is None
    assert known.density is None
    assert known.reference is None
    assert known.record.reference is not None
    assert known.record.draws_not == 'its networks are too large for a density in the file'
    told = describe(str(tmp_path / 'f'))
    assert f'{known.record.reference} (not kept)' in told


def test_densities_are_of_the_models_that_are_named(manifest: Path, tmp_path: Path) -> None:
    whole, finished, none = (
        Foundry.load(str(train_tiny(manifest, tmp_path / name, drawn_like=like))).known[0]
        for name, like in (('a', ()), ('b', ('*_1.pt',)), ('c', ('*_7.pt',)))
    )
    assert whole.density is not None
    assert finished.density is not None
    assert not torch.equal(whole.density.mean, finished.density.mean)
    assert finished.record.trained == whole.record.trained
    assert none.density is None
    assert 'of 0 lineages' in (none.record.draws_not or '')


@pytest.mark.parametrize('like', ['*', '*_0.pt', '*_1.pt'])
def test_the_reference_is_like_what_is_drawn(manifest: Path, tmp_path: Path, like: str) -> None:
    """Of the networks that are drawn it is the aligned one, or else the one most like their average."""
    folder = train_tiny(manifest, tmp_path / 'f', drawn_like=(like,))
    (known,) = Foundry.load(str(folder)).known
    config = Foundry.load(str(folder)).config
    opened = {
        model.name: OpenedModel.open(model, config, held_out=False)
        for model in collect_models([], read_manifest(manifest))
        if fnmatch(model.name, like)
    }
    named = read_manifest(manifest)[0].reference
    weights = {
        name: torch.cat([each.source.read(tensor).flatten() for tensor in known.record.shapes])
        for name, each in opened.items()
    }
    average = torch.stack([*weights.values()]).mean(0)
    likest = max(weights, key=lambda name: weights[name] @ average / weights[name].norm())
    assert known.record.reference == (named if named in opened else likest)
    assert known.reference is not None
    kept = opened[known.record.reference or ''].source
    for tensor in known.record.shapes:
        assert torch.equal(known.reference.read(tensor), kept.read(tensor))


def test_a_collection_of_one_model(tmp_path: Path) -> None:
    manifest = collect(write_networks(tmp_path / 'models', 1, checkpoints=1))
    (known,) = Foundry.load(str(train_tiny(manifest, tmp_path / 'f'))).known
    assert (known.record.trained, known.record.reference) == (1, None)
    assert known.places is None
    assert 'of 1 lineage nothing tells' in (known.record.draws_not or '')


def test_duplicates_are_one_model(tmp_path: Path) -> None:
    folder = write_networks(tmp_path / 'models', 1, checkpoints=1)
    (folder / 'copy.pt').write_bytes((folder / 't0_0.pt').read_bytes())
    manifest = collect(folder)
    assert [entry.split for entry in read_manifest(manifest)] == ['trained', 'skipped']
    (known,) = Foundry.load(str(train_tiny(manifest, tmp_path / 'f'))).known
    assert known.record.trained == 1


def test_a_missing_reference_is_named(manifest: Path, tmp_path: Path) -> None:
    entries = read_manifest(manifest)
    write_manifest(
        tmp_path / 'm.jsonl', [entry for entry in entries if entry.name != entry.reference]
    )
    with pytest.raises(CollectionError, match=r'is read in the order of .*, which is not in the'):
        train_tiny(tmp_path / 'm.jsonl', tmp_path / 'f')
    assert not (tmp_path / 'f').exists()
