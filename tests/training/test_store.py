"""Windows come straight from files: mapped, not held, and permuted on the way."""

import dataclasses
import errno
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from toy_states import model_of, toy_state

from torchgeo_geosane import cache
from torchgeo_geosane.collection import CollectionError
from torchgeo_geosane.collection.mapped import map_weights, open_mapped
from torchgeo_geosane.errors import CacheError
from torchgeo_geosane.foundry.source import StateDictSource
from torchgeo_geosane.foundry.tokens import TokenReader
from torchgeo_geosane.training import OpenedModel, TokenWindows


def mlp_state(seed: int, hidden: int = 64) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {'fc1.weight': (hidden, 32), 'fc1.bias': (hidden,), 'fc2.weight': (32, hidden)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def save(path: Path, state: dict[str, torch.Tensor]) -> Path:
    if path.suffix == '.safetensors':
        save_file(state, path)
    elif path.suffix == '.pth':  # As torch wrote before 1.6.
        torch.save(state, path, _use_new_zipfile_serialization=False)
    else:
        torch.save(state, path)
    return path


@pytest.fixture
def whole(foundry):
    """Windows that hold all of a small model."""
    return dataclasses.replace(foundry, window=300)


def test_a_view_has_other_rows_and_the_same_function(tmp_path, whole):
    state = mlp_state(0)
    opened = OpenedModel.open(model_of(save(tmp_path / 'a.pt', state)), whole, False, permute=True)
    window = TokenWindows([opened], whole, 1, seed=0, permute=True)[0]
    first, second = (
        window[key].flatten()[window['mask'].flatten()].split(64 * 32) for key in ('tokens', 'view')
    )
    before, after = (matrices[0].view(64, 32) for matrices in (first, second))
    assert not before.equal(after)
    assert before.sort(0).values.equal(after.sort(0).values)
    order = (before[None] == after[:, None]).all(-1).int().argmax(1)
    assert first[1].view(32, 64)[:, order].allclose(second[1].view(32, 64))


def test_a_view_is_drawn_afresh_for_each_window(tmp_path, whole):
    opened = OpenedModel.open(
        model_of(save(tmp_path / 'a.pt', mlp_state(0))), whole, False, permute=True
    )
    windows = TokenWindows([opened], whole, 2, seed=0, permute=True)
    assert windows[0]['tokens'].equal(windows[1]['tokens'])
    assert not windows[0]['view'].equal(windows[1]['view'])
    assert windows[1]['view'].equal(windows[1]['view'])


def test_a_model_without_such_units_has_equal_views(toys, foundry):
    opened = OpenedModel.open(next(toys.models()), foundry, False, permute=True)
    window = TokenWindows([opened], foundry, 1, seed=0, permute=True)[0]
    assert window['view'].equal(window['tokens'])


def test_one_view_where_two_are_not_asked_for(models, foundry):
    assert 'view' not in TokenWindows(models, foundry, 1, seed=0)[0]


class Watched(StateDictSource):
    """Says how many rows were asked for."""

    rows_read = 0

    def rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        self.rows_read += stop - start
        return super().rows(name, start, stop)


def test_a_window_reads_the_rows_it_covers(models):
    """Tokens of 16 values, rows of 36."""
    source = Watched(toy_state(0))
    TokenReader(source, models[0].layout).read(9, 18)
    assert source.rows_read == 4


def test_layouts_are_shared(tmp_path, foundry):
    first, second, other = (
        OpenedModel.open(model_of(save(tmp_path / f'{i}.pt', state)), foundry, False, permute=True)
        for i, state in enumerate([mlp_state(0), mlp_state(1), mlp_state(0, hidden=65)])
    )
    assert first.layout is second.layout
    assert first.hidden is second.hidden
    assert first.layout is not other.layout


def test_a_model_is_not_in_memory(tmp_path, foundry):
    """What other processes are given of it is small, also once it has been read."""
    path = save(tmp_path / 'a.pt', mlp_state(0, hidden=20_000))
    opened = OpenedModel.open(model_of(path), foundry, False, permute=True)
    opened.window(0, foundry, seed=0)
    assert len(pickle.dumps(opened)) < 5_000
    assert path.stat().st_size > 5_000_000


@pytest.mark.parametrize('name', ['a.safetensors', 'a.pt'])
def test_what_can_be_mapped_is_not_copied(tmp_path, cache_directory, name):
    path = save(tmp_path / name, mlp_state(0))
    assert map_weights(path, 'a' * 64) == path
    assert not cache_directory.exists()


def compress(path: Path) -> Path:
    """A torch file whose container is compressed: it cannot be read in parts."""
    with zipfile.ZipFile(path) as plain:
        entries = [(name, plain.read(name)) for name in plain.namelist()]
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as compressed:
        for name, content in entries:
            compressed.writestr(name, content)
    return path


def test_compressed_files_have_a_copy_that_can_be_mapped(tmp_path, cache_directory, foundry):
    state = mlp_state(0) | {'b.weight': torch.ones(3, 2)}
    state['tied.weight'] = state['fc1.weight']
    path = compress(save(tmp_path / 'a.pt', state))
    opened = OpenedModel.open(model_of(path), foundry, False)
    assert opened.file.parent == cache_directory / 'collection'
    source = open_mapped(opened.file)
    assert source.names() == list(state), 'in the order of the model'
    assert source.read('fc2.weight').equal(state['fc2.weight'])
    (copy,) = opened.file.parent.iterdir()
    written = copy.stat().st_mtime_ns
    assert OpenedModel.open(model_of(path), foundry, False).file == copy
    assert copy.stat().st_mtime_ns == written
    assert cache.clear() == 1
    assert not copy.exists()


def test_no_room_for_the_copy(tmp_path, cache_directory, foundry, monkeypatch):
    def fill(path, tensors, metadata):
        path.write_bytes(b'half of it')
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr('torchgeo_geosane.prompts.copies.write_safetensors', fill)
    path = compress(save(tmp_path / 'a.pt', mlp_state(0)))
    with pytest.raises(CacheError, match='No space left'):
        OpenedModel.open(model_of(path), foundry, False)
    assert list((cache_directory / 'collection').iterdir()) == []


def test_tied_weights_are_cut_once(tmp_path, foundry):
    state = mlp_state(0)
    alone = OpenedModel.open(model_of(save(tmp_path / 'a.pt', state)), foundry, False)
    state |= {'head.weight': state['fc1.weight'], 'copy.weight': state['fc1.weight'].clone()}
    tied = OpenedModel.open(model_of(save(tmp_path / 'b.pt', state)), foundry, False)
    assert tied.layout == alone.layout
    assert tied.entry.parameters == alone.entry.parameters


def test_quantised_weights_are_refused(tmp_path, foundry):
    state = mlp_state(0) | {'fc3.weight': torch.ones(8, 8, dtype=torch.int8)}
    model = model_of(save(tmp_path / 'a.pt', state))
    reason = rf"cannot train on '{model.name}': 'fc3.weight' is int8: quantised weights"
    with pytest.raises(CollectionError, match=reason):
        OpenedModel.open(model, foundry, False)


def test_a_model_without_a_matrix_is_named(tmp_path, foundry):
    model = model_of(save(tmp_path / 'a.safetensors', {'norm.weight': torch.ones(2000)}))
    with pytest.raises(CollectionError, match=f"cannot train on '{model.name}': nothing to cut"):
        OpenedModel.open(model, foundry, False)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_every_floating_point_type_is_cut(tmp_path, whole, dtype):
    state = {name: tensor.to(dtype) for name, tensor in mlp_state(0).items()}
    opened = OpenedModel.open(
        model_of(save(tmp_path / 'a.safetensors', state)),
        dataclasses.replace(whole, row_scale='none'),
        False,
        permute=True,
    )
    window = opened.window(0, whole, seed=1)
    assert window['tokens'].dtype == window['view'].dtype == torch.float32
    assert window['tokens'].flatten()[: 64 * 32].equal(state['fc1.weight'].float().flatten())


def test_a_collection_of_one_model(tmp_path, foundry):
    opened = OpenedModel.open(model_of(save(tmp_path / 'a.pt', mlp_state(0))), foundry, False)
    for weighting in ('size', 'family', 'model'):
        windows = TokenWindows([opened], foundry, 6, 0, weighting)
        assert all(windows[i]['model'] == 0 for i in range(6))
