import dataclasses

import pytest
import torch

from torchgeo_geosane.collection import CollectionError
from torchgeo_geosane.training import CollectionConfig, FoundryDataModule, TokenWindows
from torchgeo_geosane.training.data import EvenWindows


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


def test_unknown_held_out_model_names_the_nearest(foundry, collection, optimisation):
    wrong = CollectionConfig(sources=('toy',), held_out=('toy/d',))
    with pytest.raises(CollectionError, match="unknown held-out model 'toy/d': did you mean"):
        FoundryDataModule(foundry, wrong, optimisation).setup()


def test_nothing_left_to_train_on(foundry, collection, optimisation):
    wrong = CollectionConfig(sources=('toy',), held_out=('toy/a', 'toy/b', 'toy/c'))
    with pytest.raises(CollectionError, match='none is left'):
        FoundryDataModule(foundry, wrong, optimisation).setup()
