"""Models of one architecture are read in one order; siblings are found, and never split."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from torchgeo_geosane.alignment import (
    PermutedSource,
    RandomPlaces,
    from_text,
    groups_of,
    similarity,
)
from torchgeo_geosane.collection import CollectionError, ManifestEntry
from torchgeo_geosane.collection.collect import restore
from torchgeo_geosane.collection.folders import FolderSource
from torchgeo_geosane.collection.gather import Split, gather
from torchgeo_geosane.collection.sources import Sources
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.foundry.source import StateDictSource
from torchgeo_geosane.training.store import OpenedModel


def chain() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(6, 12, 3), nn.ReLU(), nn.Conv2d(12, 16, 3), nn.ReLU(), nn.Conv2d(16, 5, 3)
    )


def network(seed: int) -> dict[str, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return chain().state_dict()


def finetuned(state: dict[str, Tensor], seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: tensor + 0.3 * tensor.std() * torch.randn(tensor.shape, generator=generator)
        for name, tensor in state.items()
    }


def disordered(state: dict[str, Tensor], seed: int) -> dict[str, Tensor]:
    groups = groups_of({name: tuple(t.shape) for name, t in state.items()}, None)
    source = PermutedSource(StateDictSource(state), RandomPlaces(groups, seed))
    return {name: source.read(name).contiguous() for name in state}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two lineages of three and one of one; two of the first in another order than their start."""
    folder = tmp_path / 'models'
    folder.mkdir()
    first, second = network(0), network(1)
    models = {
        'a0': first,
        'a1': finetuned(first, 1),
        'a2': finetuned(first, 2),
        'b0': disordered(finetuned(first, 3), 7),
        'b1': disordered(finetuned(first, 4), 7),
        'c0': second,
    }
    for name, state in models.items():
        torch.save(state, folder / f'{name}.pt')
    return folder


def collected(folder: Path, split: Split | None = None, **options) -> dict[str, ManifestEntry]:
    sources = Sources(folders=(FolderSource(path=folder, licence='MIT'),))
    path = folder.parent / 'm.jsonl'
    entries = gather(path, sources, split=split, progress=False, **options)
    return {Path(entry.file).stem: entry for entry in entries}


def test_lineages(folder: Path) -> None:
    """Told by what the models are as they lie there: b0 and b1 are in one order."""
    found = collected(folder)
    lineages = {name: Path(entry.lineage or '').stem for name, entry in found.items()}
    assert lineages == {'a0': 'a0', 'a1': 'a0', 'a2': 'a0', 'b0': 'b0', 'b1': 'b0', 'c0': 'c0'}


def test_a_lineage_reaches_over_architectures(folder: Path) -> None:
    """A backbone under other names, with another head, began where the others did."""
    inside = {f'encoder.{name}': tensor for name, tensor in finetuned(network(0), 5).items()}
    torch.save(inside | {'decoder.weight': torch.randn(4, 5, 3, 3)}, folder / 'd0.pt')
    found = collected(folder)
    assert Path(found['d0'].lineage or '').stem == 'a0'
    assert found['d0'].reference is None
    split = collected(folder, Split(held_out=0.5, seed=0))
    related = {split[name].split for name in ('a0', 'a1', 'a2', 'd0')}
    assert len(related) == 1


def test_all_are_aligned_to_the_medoid(folder: Path) -> None:
    found = collected(folder)
    (reference,) = {entry.reference for entry in found.values()}
    assert reference is not None
    assert Path(reference).stem in {'a0', 'a1', 'a2'}
    moved = {name for name, entry in found.items() if entry.alignment}
    assert moved == {'b0', 'b1', 'c0'}
    alignment = from_text(found['b0'].alignment or '')
    assert alignment.before < 0.1
    assert alignment.after > 0.8
    assert alignment.chance is not None
    assert alignment.chance < 0.5


def test_all_are_aligned_to_the_one_that_is_named(folder: Path) -> None:
    name = collected(folder)['c0'].name
    found = collected(folder, references=[name])
    assert {entry.reference for entry in found.values()} == {name}
    assert {stem for stem, entry in found.items() if not entry.alignment} == {'c0'}


def test_references_that_cannot_be(folder: Path) -> None:
    found = collected(folder)
    name = found['c0'].name
    with pytest.raises(CollectionError, match=f"'{name}0' is not among the models: did.*'{name}'"):
        collected(folder, references=[f'{name}0'])
    with pytest.raises(CollectionError, match='are of one architecture: name one of them'):
        collected(folder, references=[name, found['a0'].name])
    with pytest.raises(CollectionError, match='and nothing is aligned'):
        collected(folder, references=[name], align=False)
    path = folder.parent / 'm.jsonl'
    with pytest.raises(CollectionError, match='collect them anew'):
        gather(path, manifest=path, references=[name], progress=False)


def test_training_reads_them_in_order(folder: Path) -> None:
    found = collected(folder)
    config = FoundryConfig(
        d_model=16, nhead=2, num_layers=1, latent_dim=4, token_size=9, window=16, halo=2
    )
    opened = {
        name: OpenedModel.open(restore(found[name]), config, held_out=False)
        for name in ('a0', 'b0')
    }
    tokens = [torch.cat(list(each.runs())).flatten() for each in opened.values()]
    assert torch.cosine_similarity(*tokens, dim=0) > 0.8
    raw = [restore(found[name]).open() for name in ('a0', 'b0')]
    assert similarity(*raw) < 0.1
    assert opened['b0'].entry.alignment == found['b0'].alignment


def test_not_aligned(folder: Path) -> None:
    found = collected(folder, align=False)
    assert {entry.reference for entry in found.values()} == {None}
    assert {entry.alignment for entry in found.values()} == {None}
    assert found['a2'].lineage == found['a0'].name


def test_again_is_the_same(folder: Path) -> None:
    entries = list(collected(folder, Split(held_out=0.3)).values())
    path = folder.parent / 'm.jsonl'
    assert gather(folder.parent / 'again.jsonl', manifest=path, progress=False) == entries
    assert (folder.parent / 'again.jsonl').read_text() == path.read_text()


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('share', [0.1, 0.4, 0.9])
def test_splits_keep_lineages_together(folder: Path, share: float, seed: int) -> None:
    found = collected(folder, Split(held_out=share, seed=seed))
    splits: dict[str | None, set[str]] = {}
    for entry in found.values():
        splits.setdefault(entry.lineage, set()).add(entry.split)
    assert all(len(own) == 1 for own in splits.values())
    assert {entry.split for entry in found.values()} == {'trained', 'held_out'}


def test_what_is_not_aligned_is_split_by_architecture(folder: Path) -> None:
    source = FolderSource(path=folder, licence='MIT', architecture='one')
    entries = gather(
        folder.parent / 'm.jsonl',
        Sources(folders=(source,)),
        split=Split(held_out=0.4),
        align=False,
        progress=False,
    )
    assert {entry.split for entry in entries} == {'trained', 'held_out'}
    assert {entry.architecture for entry in entries} == {'one'}


def test_seeds_draw_other_splits(folder: Path) -> None:
    drawn = {
        tuple(e.split for e in collected(folder, Split(held_out=0.4, seed=seed)).values())
        for seed in range(6)
    }
    assert len(drawn) > 1


def test_one_lineage_cannot_be_held_out(folder: Path) -> None:
    for path in folder.glob('[bc]*'):
        path.unlink()
    assert {entry.alignment for entry in collected(folder).values()} == {None}
    with pytest.raises(CollectionError, match='of no architecture are there two models'):
        collected(folder, Split(held_out=0.2))


def test_one_model(folder: Path) -> None:
    for path in folder.glob('[bc]*'):
        path.unlink()
    for path in folder.glob('a[12]*'):
        path.unlink()
    (entry,) = collected(folder).values()
    assert (entry.lineage, entry.reference, entry.alignment) == (entry.name, None, None)


def test_duplicates_are_left_out_before(folder: Path) -> None:
    torch.save(network(0), folder / 'a00.pt')
    found = collected(folder)
    assert found['a00'].skipped
    assert found['a00'].lineage is None


def test_other_architectures_are_left_alone(folder: Path) -> None:
    torch.save({'weight': torch.randn(20, 20)}, folder / 'other.pt')
    wider = nn.Sequential(
        nn.Conv2d(6, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.ReLU(), nn.Conv2d(16, 5, 3)
    )
    torch.save(wider.state_dict(), folder / 'wider.pt')
    found = collected(folder)
    assert found['other'].reference is None
    assert found['wider'].alignment is None
    assert found['wider'].lineage == found['wider'].name


@pytest.mark.parametrize('share', [-0.1, 1.0])
def test_shares_that_are_none(share: float) -> None:
    with pytest.raises(CollectionError, match='from 0 to below 1'):
        Split(held_out=share)


@pytest.mark.parametrize(
    ('alignment', 'message'), [('bm9uc2Vuc2U=', 'not an alignment'), (None, r'moves 1. units of')]
)
def test_an_alignment_of_something_else_is_noticed(
    folder: Path, alignment: str | None, message: str
) -> None:
    found = collected(folder)
    torch.save({name: t[:5] for name, t in network(0).items()}, folder / 'small.pt')
    (small,) = [e for e in collected(folder).values() if e.file == 'small.pt']
    entry = dataclasses.replace(small, alignment=alignment or found['b0'].alignment)
    config = FoundryConfig(
        d_model=16, nhead=2, num_layers=1, latent_dim=4, token_size=9, window=16, halo=2
    )
    with pytest.raises(CollectionError, match=message):
        OpenedModel.open(restore(entry), config, held_out=False)
