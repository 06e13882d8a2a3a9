"""Networks drawn without a prompt, through a spec's URL."""

import dataclasses
from pathlib import Path

import pytest
import torch
from tiny import NAME, collect, tiny_network, train_tiny, write_networks

from torchgeo_geosane.candidate import Generated
from torchgeo_geosane.errors import FoundryError, PromptError
from torchgeo_geosane.foundry import checkpoint
from torchgeo_geosane.foundry.density import LatentDensity
from torchgeo_geosane.foundry.engine import Engine
from torchgeo_geosane.foundry.foundry import Foundry
from torchgeo_geosane.foundry.known import Known
from torchgeo_geosane.foundry.source import StateDictSource
from torchgeo_geosane.foundry.tokens import TokenReader, TokenWriter
from torchgeo_geosane.generate import create, generate
from torchgeo_geosane.spec import Spec


@pytest.fixture(scope='module')
def foundry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('prior')
    return train_tiny(collect(write_networks(folder / 'models', 5)), folder / 'foundry')


def draw(foundry: Path, query: str = '', sensor: str = 'rgb') -> Generated:
    spec = Spec.parse(f'geosane://{NAME}?sensor={sensor}&foundry={foundry}&sampler=prior{query}')
    return create(spec, [spec.seed])[0]


def test_networks_are_drawn_without_a_prompt(foundry: Path) -> None:
    first, again, other = draw(foundry), draw(foundry), draw(foundry, '&seed=1')
    weights = ['conv1.weight', 'conv1.bias', 'conv2.weight']
    assert {first.provenance.coverage[name] for name in weights} == {'generated'}
    assert all(torch.equal(first.tensors[name], again.tensors[name]) for name in first.tensors)
    assert not any(torch.equal(first.tensors[name], other.tensors[name]) for name in weights)
    record = first.provenance.prompts[0]
    assert record.name == 'reference'
    assert 'the reference in the foundry' in record.source
    assert first.provenance.licence == 'MIT'
    assert 'prompt=reference' in first.provenance.url
    assert 'sampler=prior&spread=0.5' in first.provenance.url
    # What is not generated is the reference's.
    reference = Foundry.load(str(foundry)).known[0].reference
    assert reference is not None
    running = 'bn2.running_mean'
    assert torch.equal(first.tensors[running], reference.read(running))


def test_without_spread_it_is_the_decoded_average(foundry: Path) -> None:
    loaded = Foundry.load(str(foundry))
    (known,) = loaded.known
    places, density = known.places, known.density
    assert places is not None
    assert density is not None
    positions = known.layout.positions(0, len(known.layout))
    with torch.no_grad():
        tokens = places.decode(loaded.model.decode(density.mean[None], positions[None])[0], 0)
    state = tiny_network().state_dict()
    TokenWriter(state, known.layout).write(0, tokens)
    drawn = draw(foundry, '&spread=0').tensors
    for name in known.layout.names - {'head.weight', 'head.bias'}:
        torch.testing.assert_close(drawn[name], state[name], rtol=1e-4, atol=1e-5)


def test_a_prompt_is_brought_into_the_order_of_what_is_drawn(foundry: Path, tmp_path: Path) -> None:
    reference = Foundry.load(str(foundry)).known[0].reference
    assert reference is not None
    order = torch.tensor([3, 0, 4, 1, 6, 2, 5])
    state = {name: reference.read(name).clone() for name in reference.names()}
    for name in state:
        if name.startswith('bn2') or name == 'conv2.weight':
            state[name] = state[name][order]
    state['head.weight'] = state['head.weight'][:, order]
    torch.save(state, tmp_path / 'prompt.pt')
    drawn = draw(foundry, f'&prompt=file:{tmp_path}/prompt.pt')
    assert drawn.provenance.prompts[0].alignment is not None
    assert drawn.provenance.prompts[0].alignment.moved
    alone = draw(foundry)
    for name, tensor in alone.tensors.items():
        assert torch.equal(drawn.tensors[name], tensor)


def test_the_weights_say_that_statistics_fit_them_badly(foundry: Path) -> None:
    spec = Spec.parse(f'geosane://{NAME}?sensor=rgb&foundry={foundry}&sampler=prior')
    assert spec.averages
    assert generate(spec).tensors.keys() == tiny_network(num_classes=0).state_dict().keys()


def test_an_own_foundry_reads_and_writes_coded_tokens(foundry: Path, tmp_path: Path) -> None:
    """Around a prompt, what comes back is the prompt, but for what the latents cannot hold."""
    prompt = tmp_path / 'prompt.pt'
    state = tiny_network().state_dict()
    torch.save(state, prompt)
    spec = Spec.parse(
        f'geosane://{NAME}?sensor=rgb&foundry={foundry}&sampler=reconstruct&prompt=file:{prompt}'
    )
    made = create(spec, [0])[0].tensors
    loaded = Foundry.load(str(foundry))
    layout = loaded.known[0].layout
    places = loaded.places(layout)
    assert places is not None
    latents = Engine(loaded.model).encode(
        TokenReader(StateDictSource(state), layout, places=places)
    )
    positions = layout.positions(0, len(layout))
    with torch.no_grad():
        decoded = loaded.model.decode(latents[None], positions[None])[0]
    TokenWriter(state, layout, places).write(0, decoded)
    torch.testing.assert_close(made['conv1.weight'], state['conv1.weight'], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ('architecture', 'query', 'message'),
    [
        (
            NAME,
            '&foundry=embedded',
            'keeps no reference of .*; it keeps none at all. Name a prompt',
        ),
        (
            NAME,
            '&foundry=embedded&prompt=random',
            'cannot draw .*without a prompt: it was not trained on any.*It draws no architecture so',
        ),
        ('test_resnet', '', f"keeps no reference of 'test_resnet'.*it keeps '{NAME}'"),
        ('test_resnet', '&prompt=random', f"It draws '{NAME}'; or take another sampler"),
    ],
)
def test_a_foundry_that_cannot_draw_says_what_it_can(
    foundry: Path, architecture: str, query: str, message: str
) -> None:
    where = '' if 'foundry=' in query else f'&foundry={foundry}'
    spec = Spec.parse(f'geosane://{architecture}?sensor=rgb&sampler=prior{where}{query}')
    with pytest.raises((FoundryError, PromptError), match=message):
        create(spec, [0])


def test_other_bands_are_refused(foundry: Path) -> None:
    with pytest.raises(PromptError, match="sees 3 bands, the sensor 'sentinel2_all' has 13"):
        draw(foundry, sensor='sentinel2_all')
    with pytest.raises(PromptError, match='sees 3 bands'):
        draw(foundry, '&prompt=reference', sensor='rgbn')


def test_a_foundry_of_an_architecture_without_a_density(foundry: Path, tmp_path: Path) -> None:
    loaded = Foundry.load(str(foundry))
    (known,) = loaded.known
    record = dataclasses.replace(known.record, draws_not='of 1 lineage nothing tells what varies')
    reference = known.reference
    assert reference is not None
    bare = Known.of(
        record, loaded.config, reference={n: reference.read(n) for n in known.record.shapes}
    )
    path = tmp_path / 'bare.safetensors'
    checkpoint.save(path, loaded.model, {}, known=[bare])
    with pytest.raises(FoundryError, match=r'of 1 lineage nothing tells.*draws no architecture'):
        draw(path)


def test_densities_of_one_model_do_not_vary() -> None:
    density = LatentDensity.fit(torch.randn(1, 6, 4), rank=3)
    assert density.factors.shape == (0, 6, 4)
