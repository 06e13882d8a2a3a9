import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from torchgeo_geosane.foundry.layout import Layout
from torchgeo_geosane.foundry.places import PlaceCode, PlaceMoments
from torchgeo_geosane.foundry.source import StateDictSource
from torchgeo_geosane.foundry.tokens import TokenReader, TokenWriter

SIZE = 6
SHAPES = {'a.weight': (4, 5), 'a.bias': (4,), 'b.weight': (3, 7)}
LAYOUT = Layout.plan(SHAPES, SIZE)


def state(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(2, 100, generator=torch.Generator().manual_seed(99))
    found = {}
    for number, (name, shape) in enumerate(SHAPES.items()):
        values = torch.randn(2, generator=generator) @ mixing[:, number : number + 21]
        noise = 0.1 * torch.randn(21, generator=generator)
        found[name] = (1 + values + noise)[: torch.Size(shape).numel()].view(shape)
    return found


def fitted(models: int = 40) -> PlaceCode:
    moments = PlaceMoments(len(LAYOUT), SIZE)
    for seed in range(models):
        moments.add(TokenReader(StateDictSource(state(seed)), LAYOUT).read(0, len(LAYOUT)))
    return moments.fit(LAYOUT.mask(0, len(LAYOUT)))


@given(st.integers(0, 2**31), st.integers(0, len(LAYOUT) - 1), st.integers(1, 40))
@settings(max_examples=25, deadline=None)
def test_coded_tokens_come_back_whatever_the_run(seed: int, start: int, models: int) -> None:
    """With fewer models than a token has numbers, too."""
    places, network = fitted(models), state(seed)
    reader = TokenReader(StateDictSource(network), LAYOUT, places=places)
    whole = reader.read(0, len(LAYOUT))
    assert torch.equal(reader.read(start, len(LAYOUT)), whole[start:])
    # Padding stays where it was, and empty.
    assert not whole[~LAYOUT.mask(0, len(LAYOUT))].any()
    result = {name: torch.empty_like(tensor) for name, tensor in network.items()}
    writer = TokenWriter(result, LAYOUT, places)
    writer.write(0, whole[:start])
    writer.write(start, whole[start:])
    for name, tensor in network.items():
        torch.testing.assert_close(result[name], tensor, rtol=1e-4, atol=1e-5)


def test_the_first_numbers_tell_most_at_every_place() -> None:
    places = fitted()
    coded = torch.stack(
        [
            TokenReader(StateDictSource(state(seed)), LAYOUT, places=places).read(0, len(LAYOUT))
            for seed in range(40)
        ]
    )
    torch.testing.assert_close(coded.mean(0), torch.zeros_like(coded[0]), atol=1e-4, rtol=0)
    variances = coded.var(0)
    assert (variances.diff(dim=1) <= 1e-5).all()
    # Two factors for a matrix and two for its bias, and a little noise.
    assert (variances[:, :4].sum(1) > 0.98 * variances.sum(1)).all()


def test_places_of_other_layouts() -> None:
    places = fitted().at(torch.tensor([3, -1, 0]))
    tokens = torch.randn(3, SIZE)
    coded = places.encode(tokens, 0)
    assert torch.equal(coded[1], tokens[1])  # There is no code for it.
    assert torch.equal(coded[2], fitted().encode(tokens[2:], 0)[0])
