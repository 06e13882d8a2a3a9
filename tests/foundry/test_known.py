"""What a foundry knows of architectures: written, read lazily, and refused where it contradicts itself."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from torchgeo_geosane.foundry import checkpoint
from torchgeo_geosane.foundry.autoencoder import WeightAutoencoder
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.foundry.density import LatentDensity
from torchgeo_geosane.foundry.errors import FoundryError
from torchgeo_geosane.foundry.foundry import Foundry
from torchgeo_geosane.foundry.known import FunctionKept, Known, Record, find_known
from torchgeo_geosane.foundry.layout import Layout
from torchgeo_geosane.foundry.places import PlaceCode
from torchgeo_geosane.foundry.sampling import Prior
from torchgeo_geosane.foundry.source import StateDictSource

CONFIG = FoundryConfig(
    d_model=16, nhead=2, num_layers=1, latent_dim=3, token_size=6, projection_dim=0, place_code=True
)
SHAPES = {'a.weight': (4, 5), 'a.bias': (4,), 'b.weight': (3, 4), 'norm.mean': (4,)}
TOKENS = 4 + 2


def record(name: str = 'small', shapes: dict[str, Any] = SHAPES, **fields: Any) -> Record:
    return Record(name, shapes, trained=5, held_out=1, lineages=4, **fields)


def known(name: str = 'small', shapes: dict[str, Any] = SHAPES, **fields: Any) -> Known:
    tokens = len(Layout.plan(shapes, 6))
    return Known.of(
        record(name, shapes, **fields),
        CONFIG,
        places=PlaceCode(torch.randn(tokens, 6), torch.eye(6).repeat(tokens, 1, 1)),
        density=LatentDensity(torch.randn(tokens, 3), torch.randn(2, tokens, 3)),
        reference={name: torch.randn(shape) for name, shape in shapes.items()},
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    other = {'c.weight': (2, 3)}
    more = known(
        'other',
        other,
        error=0.5,
        reference='folder/x',
        function=FunctionKept('accuracy', 0.7, 0.6, 0.5),
    )
    path = tmp_path / 'foundry.safetensors'
    checkpoint.save(path, WeightAutoencoder(CONFIG), {}, torch.float16, known=[known(), more])
    return path


def test_what_is_written_is_read(path: Path) -> None:
    first, second = Foundry.load(str(path)).known
    assert first.record == record()
    assert second.record.function == FunctionKept('accuracy', 0.7, 0.6, 0.5)
    assert second.record.reference == 'folder/x'
    assert len(first.layout) == TOKENS
    places, density, reference = first.places, first.density, first.reference
    assert places is not None
    assert places.rotation.shape == (TOKENS, 6, 6)
    assert density is not None
    assert density.factors.shape == (2, TOKENS, 3)
    assert reference is not None
    assert reference.names() == list(SHAPES)


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    model, mine = WeightAutoencoder(CONFIG), known()
    for name in 'ab':
        checkpoint.save(tmp_path / name, model, {}, known=[mine])
    assert (tmp_path / 'a').read_bytes() == (tmp_path / 'b').read_bytes()
    checkpoint.save(tmp_path / 'c', model, {})
    assert b'architectures' not in (tmp_path / 'c').read_bytes()


def test_layouts_are_told_by_their_tensors() -> None:
    """A head may be missing; a stem of other bands has no place here."""
    mine = [known('other', {'c.weight': (2, 3)}), known()]
    whole = Layout.plan(SHAPES, 6)
    headless = Layout.plan({name: SHAPES[name] for name in ('b.weight',)}, 6)
    other_bands = Layout.plan({**SHAPES, 'a.weight': (4, 7)}, 6)
    found, places = find_known(mine, whole) or pytest.fail('not found')
    assert found is mine[1]
    assert places.tolist() == list(range(TOKENS))
    assert find_known(mine, headless)[1].tolist() == [4, 5]  # type: ignore[index]
    assert find_known(mine, other_bands)[1].tolist() == [-1] * 6 + [4, 5]  # type: ignore[index]
    assert find_known(mine, Layout.plan({'z.weight': (9, 9)}, 6)) is None


def test_a_stem_of_other_bands_cannot_be_drawn(path: Path) -> None:
    foundry = Foundry.load(str(path))
    layout = Layout.plan({**SHAPES, 'a.weight': (4, 7)}, 6)
    with pytest.raises(FoundryError, match=r"knows 'small' with another 'a\.weight'"):
        foundry.bind(Prior(), 'small', layout)


def rewrite(path: Path, change: Any) -> None:
    with safe_open(path, 'pt') as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header = dict(file.metadata())
    records = json.loads(header['architectures'])
    change(tensors, records)
    header['architectures'] = json.dumps(records)
    save_file(tensors, path, header)


def drop(name: str) -> Any:
    return lambda tensors, _: tensors.pop(f'architectures.0.{name}')


def put(name: str, tensor: torch.Tensor) -> Any:
    return lambda tensors, _: tensors.update({f'architectures.{name}': tensor})


def say(**fields: Any) -> Any:
    return lambda _, records: records[0].update(fields)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (drop('places.mean'), "lacks the tensor 'places.mean' of 'small'"),
        (drop('density.factors'), 'density.mean|density.factors|has no density'),
        (drop('reference.b.weight'), "lacks the tensor 'reference.b.weight'"),
        (put('0.more', torch.zeros(2)), "unknown tensor 'more' of 'small'"),
        (put('7.places.mean', torch.zeros(2)), "unknown tensor 'architectures.7.places.mean'"),
        (put('0.density.mean', torch.zeros(2, 3)), 'its record asks for'),
        (put('0.density.factors', torch.zeros(2000, TOKENS, 3)), 'its record asks for'),
        (put('0.places.mean', torch.zeros(TOKENS, 6, dtype=torch.int32)), 'no weights'),
        (say(trained='many'), "trained is 'many'"),
        (say(surprise=1), "unknown field 'surprise'"),
        (say(shapes={'a.bias': [4]}), 'nothing to cut into tokens'),
        (say(shapes={'a.weight': [-4, 5]}), 'a shape below 0'),
    ],
)
def test_what_contradicts_itself_is_refused(path: Path, change: Any, message: str) -> None:
    rewrite(path, change)
    with pytest.raises(FoundryError, match=message):
        Foundry.load(str(path))


def test_values_are_checked_when_they_are_read(path: Path) -> None:
    rewrite(path, put('0.density.mean', torch.full((TOKENS, 3), torch.nan)))
    (first, _) = Foundry.load(str(path)).known
    with pytest.raises(FoundryError, match=r"'density\.mean' of 'small' holds NaN"):
        first.density  # noqa: B018
    assert first.places is not None


def test_a_foundry_that_says_it_draws_needs_a_density(tmp_path: Path) -> None:
    bare = Known(record(), Layout.plan(SHAPES, 6), StateDictSource({}))
    path = tmp_path / 'foundry.safetensors'
    checkpoint.save(path, WeightAutoencoder(CONFIG), {}, known=[bare])
    with pytest.raises(FoundryError, match="says that it draws 'small', and has no density"):
        Foundry.load(str(path))
    honest = dataclasses.replace(bare, record=record(draws_not='too few'))
    checkpoint.save(path, WeightAutoencoder(CONFIG), {}, known=[honest])
    assert Foundry.load(str(path)).known[0].density is None
