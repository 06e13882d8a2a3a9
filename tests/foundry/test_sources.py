"""Lazily read tensors: every kind of source gives the same tokens as the tensors themselves."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from torchgeo_geosane.foundry.errors import TokenError
from torchgeo_geosane.foundry.layout import Layout
from torchgeo_geosane.foundry.source import (
    OverlaidSource,
    RenamedSource,
    SafetensorsSource,
    StateDictSource,
    TensorSource,
    all_finite,
)
from torchgeo_geosane.foundry.tokens import TokenReader, tokenise

DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64]


def tensors(dtype: torch.dtype) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = {'conv.weight': (6, 3, 2, 2), 'conv.bias': (6,), 'scale.weight': (), 'v.weight': (7,)}
    values = {
        name: torch.randn(shape, generator=generator).to(dtype) for name, shape in shapes.items()
    }
    return values | {'empty.weight': torch.zeros(0, 4, dtype=dtype), 'count': torch.tensor(3)}


def source(kind: str, values: dict[str, Tensor], folder: Path) -> TensorSource:
    if kind == 'safetensors':
        save_file(values, folder / 'model.safetensors')
        return SafetensorsSource(folder / 'model.safetensors')
    if kind == 'mapped':
        torch.save(values, folder / 'model.pt')
        return StateDictSource(torch.load(folder / 'model.pt', mmap=True, weights_only=True))
    if kind == 'renamed':
        old = {f'model.{name}': tensor for name, tensor in values.items()}
        return RenamedSource(StateDictSource(old), {name: f'model.{name}' for name in values})
    if kind == 'overlaid':
        replaced = {'conv.weight': values['conv.weight']}
        old = values | {'conv.weight': torch.zeros(6, 13, 2, 2)}
        return OverlaidSource(StateDictSource(old), replaced)
    return StateDictSource(values)


@pytest.mark.parametrize('dtype', DTYPES, ids=str)
@pytest.mark.parametrize('kind', ['safetensors', 'mapped', 'renamed', 'overlaid', 'memory'])
def test_every_source_gives_the_same(kind: str, dtype: torch.dtype, tmp_path: Path) -> None:
    values = tensors(dtype)
    opened = source(kind, values, tmp_path)
    assert sorted(opened.names()) == sorted(values)
    for name, tensor in values.items():
        assert opened.shape(name) == tuple(tensor.shape)
        assert opened.dtype(name) == tensor.dtype
        assert torch.equal(opened.read(name), tensor)
    expected, layout = tokenise(values, 5)
    shapes = {name: opened.shape(name) for name in values if opened.dtype(name).is_floating_point}
    assert Layout.plan(shapes, 5) == layout
    reader = TokenReader(opened, layout)
    for start in range(len(layout)):
        assert torch.equal(reader.read(start, len(layout)), expected[start:])
        assert torch.equal(reader.read(start, start + 1), expected[start : start + 1])


def test_a_live_module_is_read_as_it_is_now() -> None:
    module = nn.Linear(4, 3)
    opened = StateDictSource(module.state_dict())
    layout = tokenise(module.state_dict(), 15)[1]
    nn.init.constant_(module.weight, 2.0)
    read = TokenReader(opened, layout).read(0, 1)
    assert not read.requires_grad
    assert torch.equal(read.view(3, 5)[:, :4], torch.full((3, 4), 2.0))


def test_no_safetensors_file(tmp_path: Path) -> None:
    (tmp_path / 'model.safetensors').write_bytes(b'no header')
    with pytest.raises(TokenError, match='not a readable safetensors file'):
        SafetensorsSource(tmp_path / 'model.safetensors')
    with pytest.raises(TokenError, match='there is no such file'):
        SafetensorsSource(tmp_path / 'missing.safetensors')


def test_an_element_type_that_weights_do_not_come_in(tmp_path: Path) -> None:
    save_file({'a.weight': torch.zeros(2, 3, dtype=torch.uint16)}, tmp_path / 'model.safetensors')
    opened = SafetensorsSource(tmp_path / 'model.safetensors')
    with pytest.raises(
        TokenError, match=r"'a\.weight' in .*model\.safetensors' is of type U16.*F32"
    ):
        opened.dtype('a.weight')


@pytest.mark.parametrize('dtype', DTYPES, ids=str)
@pytest.mark.parametrize('value', [torch.nan, torch.inf, -torch.inf])
def test_all_finite(value: float, dtype: torch.dtype) -> None:
    values = torch.full((3, 5), torch.finfo(dtype).max, dtype=dtype)
    assert all_finite(values)
    assert all_finite(values[:0])
    values[1, 2] = value
    assert not all_finite(values)
