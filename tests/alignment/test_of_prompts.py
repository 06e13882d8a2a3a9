"""Samplers around several prompts, aligned."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from specs import MakeSpec
from tiny import collect, train_tiny, write_networks
from torch import Tensor

from torchgeo_geosane import Spec, cache
from torchgeo_geosane.alignment import PermutedSource, RandomPlaces, find_groups
from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.candidate import Generated
from torchgeo_geosane.errors import PromptError, SpecError
from torchgeo_geosane.foundry.foundry import Foundry
from torchgeo_geosane.foundry.source import StateDictSource
from torchgeo_geosane.generate import create, identify
from torchgeo_geosane.provenance import Provenance

ARCHITECTURE = 'test_resnet'
CONVOLUTION = 'layer1.0.conv1.weight'


def network(seed: int) -> dict[str, Tensor]:
    state = get_architecture(ARCHITECTURE).initialise(seed)
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in state.items():
        if tensor.is_floating_point() and tensor.ndim < 2:
            state[name] = torch.rand(tensor.shape, generator=generator) + 0.5
    return state


def disordered(state: dict[str, Tensor]) -> dict[str, Tensor]:
    places = RandomPlaces(find_groups(ARCHITECTURE), 5)
    source = PermutedSource(StateDictSource(state), places)
    return {name: source.read(name).contiguous() for name in state}


@pytest.fixture
def make(foundries: dict[str, str], tmp_path: Path):
    """Weights around the first network and others, from their average."""

    def make(*others: dict[str, Tensor], align: bool = True, **fields) -> Generated:
        paths = [tmp_path / f'{number}.safetensors' for number in range(len(others) + 1)]
        for path, state in zip(paths, (network(0), *others), strict=True):
            save_file(state, path)
        spec = Spec(
            ARCHITECTURE,
            'rgb',
            prompts=tuple(f'file:{path}' for path in paths),
            foundry=foundries['matrices'],
            align=align,
            **fields,
        )
        return create(spec, [0])[0]

    return make


def test_the_order_of_units_no_longer_matters(make) -> None:
    """A copy in another order is a copy; without alignment it is not."""
    same = make(network(0))
    shuffled = make(disordered(network(0)))
    assert all(shuffled.tensors[name].equal(same.tensors[name]) for name in same.tensors)
    unaligned = make(disordered(network(0)), align=False)
    assert not unaligned.tensors[CONVOLUTION].equal(same.tensors[CONVOLUTION])


def test_siblings_give_the_bytes_that_they_gave(make) -> None:
    generator = torch.Generator().manual_seed(9)
    sibling = {
        name: t + 0.3 * t.std() * torch.randn(t.shape, generator=generator) if t.ndim > 1 else t
        for name, t in network(0).items()
    }
    aligned, before = make(sibling), make(sibling, align=False)
    assert all(aligned.tensors[name].equal(before.tensors[name]) for name in before.tensors)
    record = aligned.provenance.prompts[1].alignment
    assert record is not None
    assert (record.moved, record.chance) == (0, None)
    assert record.before == record.after > 0.9


def test_provenance_says_how_they_were_aligned(make) -> None:
    provenance = make(disordered(network(0)), network(2)).provenance
    first, copied, stranger = (prompt.alignment for prompt in provenance.prompts)
    assert first is None
    assert copied is not None
    assert stranger is not None
    assert copied.after > 0.99
    assert copied.before < 0.3
    assert 0 < copied.moved <= copied.units == find_groups(ARCHITECTURE).count
    assert stranger.chance is not None
    assert stranger.after == pytest.approx(stranger.chance, abs=0.05)
    assert Provenance.from_json(provenance.to_json()) == provenance
    assert make(network(2), align=False).provenance.prompts[1].alignment is None


def test_a_prompt_with_more_than_the_first(tmp_path: Path) -> None:
    """An encoder without the last convolution comes first; the other has it."""
    lacking = {
        name: tensor
        for name, tensor in get_architecture('test_efficientnet').initialise(0).items()
        if not name.startswith(('conv_head', 'bn2')) and tensor.is_floating_point()
    }
    whole = get_architecture('test_efficientnet').initialise(1)
    for name, state in {'lacking': lacking, 'whole': whole}.items():
        save_file(state, tmp_path / f'{name}.safetensors')
    prompts = tuple(f'file:{tmp_path}/{name}.safetensors' for name in ('lacking', 'whole'))
    spec = Spec('test_efficientnet', 'rgb', prompts=prompts, align=True)
    record = create(spec, [0])[0].provenance.prompts[1].alignment
    assert record is not None
    assert record.moved > 0


def test_other_bands(make, tmp_path: Path) -> None:
    """What is aligned sees what the first prompt sees."""
    other = disordered(network(0))
    other['conv1.0.weight'] = other['conv1.0.weight'].repeat(1, 2, 1, 1)
    save_file(other, tmp_path / 'six.safetensors')
    save_file(network(0), tmp_path / 'three.safetensors')
    prompts = (
        f'file:{tmp_path}/three.safetensors@rgb',
        f'file:{tmp_path}/six.safetensors@sentinel2_6',
    )
    spec = Spec(ARCHITECTURE, 'sentinel2_rgb', prompts=prompts, align=True)
    record = create(spec, [0])[0].provenance.prompts[1].alignment
    assert record is not None
    assert record.after > 0.9


def test_it_is_part_of_the_key(make_spec: MakeSpec) -> None:
    prompts = ('random', 'random')
    plain = Spec(ARCHITECTURE, 'rgb', prompts=prompts)
    aligned = Spec(ARCHITECTURE, 'rgb', prompts=prompts, align=True)
    assert 'align' not in plain.url
    assert '&align=true&' in aligned.url
    assert Spec.parse(aligned.url) == aligned
    assert Spec.parse(plain.url.replace('&seed', '&align=false&seed')) == plain
    assert identify(plain) != identify(aligned)


def test_it_is_found_once(make, cache_directory: Path) -> None:
    one = make(disordered(network(0)))
    # The alignment, and what noise comes to, which other prompts ask for again.
    paths = list((cache_directory / 'alignments').glob('*.safetensors'))
    assert len(paths) == 2
    written = {path: path.stat().st_mtime_ns for path in paths}
    assert make(disordered(network(0))).provenance == one.provenance
    make(network(2))
    assert {path: path.stat().st_mtime_ns for path in paths} == written
    assert len(list((cache_directory / 'alignments').glob('*.safetensors'))) == 3
    for path in paths:
        path.write_bytes(path.read_bytes()[:-9])
    assert make(disordered(network(0))).provenance == one.provenance
    cache.clear()
    assert not list((cache_directory / 'alignments').glob('*'))


@pytest.mark.parametrize('bad', [torch.nan, torch.inf])
def test_a_prompt_with_values_that_are_no_numbers(make, bad: float) -> None:
    other = network(1)
    other[CONVOLUTION][0, 0, 0, 0] = bad
    with pytest.raises(PromptError, match=f"1.safetensors'.*{CONVOLUTION}.* holds NaN or infinite"):
        make(other)


def test_dead_channels(make) -> None:
    other = network(1)
    for name in (CONVOLUTION, 'layer1.0.bn1.weight', 'layer1.0.bn1.bias'):
        other[name][:20] = 0
    assert make(other).provenance.prompts[1].alignment is not None


@pytest.fixture
def traced_anew() -> Iterator[None]:
    """What is found is not that of another test, nor is another test given it."""
    find_groups.cache_clear()
    yield
    find_groups.cache_clear()


def test_a_model_that_cannot_be_traced_is_left_as_it_is(
    make, traced_anew, monkeypatch, caplog
) -> None:
    def refuse(*arguments: object) -> None:
        raise RuntimeError('no way')

    monkeypatch.setattr('torchgeo_geosane.alignment.find.trace', refuse)
    record = make(network(1)).provenance.prompts[1].alignment
    assert (record.units, record.moved) == (0, 0)
    assert 'no way' in next(iter(record.left_out.values()))
    assert 'no way' in caplog.text


def test_what_is_left_out_is_said_once_a_reason(make, traced_anew, monkeypatch, caplog) -> None:
    monkeypatch.setattr('torchgeo_geosane.alignment.trace._MOST_USES', 3)
    record = make(network(1)).provenance.prompts[1].alignment
    first = next(iter(record.left_out))
    (said,) = (text for text in caplog.messages if 'stay as they are' in text)
    assert f'the units of {first!r} and of {len(record.left_out) - 1} more stay' in said
    assert said.endswith('torch-pruning finds no end of them')


def test_one_prompt_is_aligned_to_the_reference_that_a_foundry_keeps(tmp_path: Path) -> None:
    """A copy in another order gives what the reference itself gives."""
    foundry = train_tiny(collect(write_networks(tmp_path / 'models', 3)), tmp_path / 'foundry')
    reference = Foundry.load(str(foundry)).known[0].reference
    assert reference is not None
    state = {name: reference.read(name).clone() for name in reference.names()}
    groups = find_groups('tiny_network', 4)
    moved = PermutedSource(StateDictSource(state), RandomPlaces(groups, 5))
    found = []
    for name, source in {'same': StateDictSource(state), 'moved': moved}.items():
        tensors = {n: source.read(n).contiguous() for n in state if not n.startswith('head')}
        save_file(tensors, tmp_path / f'{name}.safetensors')
        prompts = (f'file:{tmp_path}/{name}.safetensors',)
        spec = Spec('tiny_network', 'rgb', prompts, str(foundry), align=True)
        found.append(create(spec, [0])[0])
    same, copied = found
    assert all(same.tensors[name].equal(copied.tensors[name]) for name in same.tensors)
    records = [each.provenance.prompts[0].alignment for each in found]
    assert [record.moved > 0 for record in records if record] == [False, True]


def test_one_prompt_cannot_be_aligned_to_nothing(make) -> None:
    with pytest.raises(PromptError, match=r'keeps no reference of .* Name more prompts, or leave'):
        make()
    with pytest.raises(SpecError, match="align must be true or false, not 'maybe'"):
        Spec.parse(f'geosane://{ARCHITECTURE}?sensor=rgb&align=maybe')
