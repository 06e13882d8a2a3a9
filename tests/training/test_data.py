import dataclasses
from pathlib import Path

import pytest
import torch
from toy_states import toy_state

from torchgeo_geosane.collection import CollectionError, read_manifest, write_manifest
from torchgeo_geosane.collection.folders import FolderSource
from torchgeo_geosane.collection.gather import gather
from torchgeo_geosane.collection.sources import Sources
from torchgeo_geosane.training import CollectionConfig, FoundryDataModule, TokenWindows
from torchgeo_geosane.training.data import EvenWindows
from torchgeo_geosane.training.results import notice


def test_windows_depend_on_seed_and_index_alone(models, foundry):
    one, other = (TokenWindows(models, foundry, 8, seed=3) for _ in range(2))
    first = [one[i] for i in range(8)]
    again = [other[i] for i in reversed(range(8))][::-1]
    for a, b in zip(first, again, strict=True):
        assert all(a[key].equal(b[key]) for key in a)
    assert any(not first[0]['tokens'].equal(window['tokens']) for window in first[1:])
    assert any(
        not one[i]['tokens'].equal(TokenWindows(models, foundry, 8, 4)[i]['tokens'])
        for i in range(8)
    )


def test_global_random_state_is_untouched(models, foundry):
    before = torch.get_rng_state()
    TokenWindows(models, foundry, 8, seed=3)[5]
    assert torch.get_rng_state().equal(before)


def test_window_holds_the_readers_tokens(models, foundry):
    window = models[0].window(10, foundry)
    assert window['tokens'].equal(models[0].reader.read(10, 34))
    assert window['positions'][:, 0].tolist() == list(range(10, 34))
    assert set(window['kinds'].tolist()) <= {1, 3}


def test_rows_have_unit_scale(models):
    tokens = torch.cat(list(models[0].runs(length=7)))
    assert len(tokens) == len(models[0].reader.layout)
    row = tokens.flatten()[:36]
    assert row.square().mean().sqrt() == pytest.approx(1, abs=1e-5)


def test_short_model_is_padded_and_masked(models, foundry):
    wide = dataclasses.replace(foundry, window=500)
    window = models[0].window(0, wide)
    n = len(models[0].reader.layout)
    assert window['tokens'].shape == (500, 16)
    assert window['mask'][:n].any()
    assert not window['mask'][n:].any()
    assert not window['tokens'][n:].any()


def test_even_windows_reach_both_ends(models, foundry):
    even = EvenWindows(models[:1], foundry, 3)
    assert even.starts[0] == 0
    assert even.starts[-1] == len(models[0].reader.layout) - foundry.window
    assert len(even) == 3


def test_data_module_holds_out(foundry, collection, optimisation):
    data = FoundryDataModule(foundry, collection, optimisation)
    data.setup()
    assert [m.entry.name for m in data.trained] == ['toy/a', 'toy/b']
    assert [m.entry.split for m in data.held_out] == ['held_out']
    batches = list(data.train_dataloader())
    assert len(batches) == optimisation.steps
    assert batches[0]['tokens'].shape == (4, 24, 16)
    assert len(data.val_dataloader()) == 2


@pytest.fixture
def manifest(tmp_path) -> Path:
    """Of three models in a folder one is held out, and one was left out."""
    folder = tmp_path / 'models'
    folder.mkdir()
    for seed, label in enumerate('abc', start=10):
        torch.save(toy_state(seed), folder / f'{label}.pt')
    path = tmp_path / 'manifest.jsonl'
    source = FolderSource(path=folder, licence='MIT')
    first, second, third = gather(path, Sources(folders=(source,)), progress=False)
    held_out = dataclasses.replace(second, split='held_out')
    skipped = dataclasses.replace(third, split='skipped', skipped='because')
    write_manifest(path, [first, held_out, skipped])
    return path


def test_a_manifest_is_a_collection(foundry, optimisation, manifest):
    data = FoundryDataModule(foundry, CollectionConfig(manifest=manifest), optimisation)
    data.setup()
    assert [m.entry.name for m in data.trained] == ['folder/models/a.pt']
    assert [m.entry.name for m in data.held_out] == ['folder/models/b.pt']
    assert data.trained[0].entry.sha256 == read_manifest(manifest)[0].sha256


def test_packages_come_before_the_manifest(foundry, collection, optimisation, manifest):
    both = dataclasses.replace(collection, manifest=manifest)
    data = FoundryDataModule(foundry, both, optimisation)
    data.setup()
    assert [m.entry.name for m in data.trained] == ['toy/a', 'toy/b', 'folder/models/a.pt']
    assert [m.entry.name for m in data.held_out] == ['toy/c', 'folder/models/b.pt']


def test_siblings_are_held_out_together(foundry, optimisation, manifest, caplog):
    """A copy that has been trained on a little would give away what is held out."""
    state = toy_state(11)
    state['fc.weight'] = state['fc.weight'] + 0.3
    torch.save(state, manifest.parent / 'models' / 'd.pt')
    source = FolderSource(path=manifest.parent / 'models', licence='MIT')
    gather(manifest, Sources(folders=(source,)), progress=False)
    collection = CollectionConfig(manifest=manifest, held_out=('folder/models/b.pt',))
    data = FoundryDataModule(foundry, collection, optimisation)
    data.setup()
    assert {m.entry.name for m in data.held_out} == {'folder/models/b.pt', 'folder/models/d.pt'}
    assert 'Held out as well, as siblings of what is: folder/models/d.pt' in caplog.text
    alone = FoundryDataModule(
        foundry, dataclasses.replace(collection, whole_lineages=False), optimisation
    )
    alone.setup()
    assert {m.entry.name for m in alone.held_out} == {'folder/models/b.pt'}


def test_a_file_that_changed_since_is_refused(foundry, optimisation, manifest):
    torch.save(toy_state(7), manifest.parent / 'models' / 'a.pt')
    data = FoundryDataModule(foundry, CollectionConfig(manifest=manifest), optimisation)
    with pytest.raises(CollectionError, match='not the file that the collection names'):
        data.setup()


def test_an_empty_collection(foundry, optimisation):
    with pytest.raises(CollectionError, match='the collection is empty: name sources, a manifest'):
        FoundryDataModule(foundry, CollectionConfig(), optimisation).setup()


def test_the_notice_names_models_of_a_manifest(foundry, optimisation, manifest):
    data = FoundryDataModule(foundry, CollectionConfig(manifest=manifest), optimisation)
    data.setup()
    text = notice(data.trained)
    assert f'{manifest.parent / "models"}\n  a.pt (MIT)\n' in text
    assert 'b.pt' not in text, 'it was not trained on'


def test_unknown_held_out_model_names_the_nearest(foundry, collection, optimisation):
    wrong = CollectionConfig(sources=('toy',), held_out=('toy/d',))
    with pytest.raises(CollectionError, match="unknown held-out model 'toy/d': did you mean"):
        FoundryDataModule(foundry, wrong, optimisation).setup()


def test_nothing_left_to_train_on(foundry, collection, optimisation):
    wrong = CollectionConfig(sources=('toy',), held_out=('toy/a', 'toy/b', 'toy/c'))
    with pytest.raises(CollectionError, match='none is left'):
        FoundryDataModule(foundry, wrong, optimisation).setup()
