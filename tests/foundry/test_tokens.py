from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from torchgeo_geosane.foundry.errors import TokenError
from torchgeo_geosane.foundry.layout import Layout
from torchgeo_geosane.foundry.source import StateDictSource
from torchgeo_geosane.foundry.tokens import TokenReader, TokenWriter, detokenise, tokenise

DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64]


@st.composite
def state_dicts(draw: st.DrawFn) -> dict[str, Tensor]:
    tensors = {}
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    for index in range(draw(st.integers(1, 5))):
        shape = tuple(draw(st.lists(st.integers(1, 5), max_size=4)))
        # Values that every type holds exactly.
        dtype = draw(st.sampled_from(DTYPES))
        values = torch.randint(-128, 128, shape, generator=generator) / 64
        tensors[f'{index}.weight'] = values.to(dtype)
        if shape and draw(st.booleans()):
            bias = torch.randint(-128, 128, shape[:1], generator=generator) / 64
            tensors[f'{index}.bias'] = bias.to(dtype)
    return tensors


def blank(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: torch.full_like(tensor, torch.nan) for name, tensor in tensors.items()}


@given(state_dicts(), st.integers(1, 20), st.data())
@settings(deadline=None)
def test_any_runs_of_tokens_equal_the_whole(
    tensors: dict[str, Tensor], token_size: int, data: st.DataObject
) -> None:
    tokens, layout = tokenise(tensors, token_size)
    n = len(layout)
    cuts = sorted(data.draw(st.sets(st.integers(1, n), max_size=6)) | {0, n})
    reader = TokenReader(StateDictSource(tensors), layout)
    parts = [reader.read(start, stop) for start, stop in pairwise(cuts)]
    assert torch.equal(torch.cat(parts), tokens)
    assert not tokens[~layout.mask(0, n)].any()

    result = blank(tensors)
    writer = TokenWriter(result, layout)
    # Padding is ignored, whatever it holds.
    noisy = torch.where(layout.mask(0, n), tokens, 7.0)
    for start, stop in pairwise(cuts):
        writer.write(start, noisy[start:stop])
    for name, tensor in tensors.items():
        assert torch.equal(result[name], tensor), name


@given(state_dicts(), st.integers(1, 20))
@settings(deadline=None)
def test_round_trip(tensors: dict[str, Tensor], token_size: int) -> None:
    tokens, layout = tokenise(tensors, token_size)
    result = blank(tensors)
    detokenise(tokens, layout, result)
    assert all(torch.equal(result[name], tensor) for name, tensor in tensors.items())


def test_negative_zero_and_subnormals_survive() -> None:
    tensors = {'a.weight': torch.tensor([[-0.0, 1e-42], [0.0, -1e-38]]), 'a.bias': torch.zeros(2)}
    tokens, layout = tokenise(tensors, 4)
    result = blank(tensors)
    detokenise(tokens, layout, result)
    assert torch.equal(result['a.weight'].view(torch.int32), tensors['a.weight'].view(torch.int32))


@pytest.mark.parametrize('value', [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize('name', ['fc.weight', 'fc.bias'])
def test_not_finite(value: float, name: str) -> None:
    tensors = {'fc.weight': torch.zeros(4, 5), 'fc.bias': torch.zeros(4)}
    tensors[name].view(-1)[-1] = value
    with pytest.raises(TokenError, match=r"'fc\.weight'.*NaN or infinite"):
        tokenise(tensors, 6)


def test_row_scale_gives_every_row_one_root_mean_square() -> None:
    weight = torch.randn(6, 10, generator=torch.Generator().manual_seed(0))
    weight *= torch.arange(6).unsqueeze(1)  # Row 0 is all zeros and stays so.
    tensors = {'fc.weight': weight}
    _, layout = tokenise(tensors, 10)
    reader = TokenReader(StateDictSource(tensors), layout, 'rms')
    tokens = reader.read(0, len(layout))
    expected = torch.tensor([0.0] + [1.0] * 5)
    torch.testing.assert_close(tokens.square().mean(dim=1).sqrt(), expected)

    result = blank(tensors)
    writer = TokenWriter(result, layout)
    writer.write(0, tokens * 0.5)
    writer.scale_rows(layout.segments[0], [reader], [1.0])
    torch.testing.assert_close(result['fc.weight'], weight)


def test_layout_of_shapes_equals_layout_of_tensors() -> None:
    tensors = {'a.weight': torch.zeros(3, 4), 'n.num_weight_updates': torch.tensor(3)}
    layout = tokenise(tensors, 5)[1]
    assert layout == Layout.plan({'a.weight': (3, 4)}, 5)
