"""Bad input: an error of ours, and nothing cached."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from specs import MakeSpec

from torchgeo_geosane import cache
from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.errors import FoundryError, GeoSANEError, PromptError
from torchgeo_geosane.generate import generate, identify, take_prompt


@pytest.fixture
def nothing_cached(cache_directory: Path) -> Iterator[None]:
    yield
    files = [path for path in cache_directory.rglob('*') if path.suffix != '.lock']
    assert files == []


@pytest.mark.parametrize('name', ['layer3.0.conv1.weight', 'bn1.running_mean', 'bn1.bias'])
@pytest.mark.parametrize('value', [float('nan'), float('inf')])
@pytest.mark.usefixtures('nothing_cached')
def test_nan_in_a_prompt(make_spec: MakeSpec, tmp_path: Path, name: str, value: float) -> None:
    tensors = get_architecture('test_resnet', 6).initialise(5)
    tensors[name].view(-1)[-1] = value
    torch.save(tensors, tmp_path / 'p.pth')
    spec = make_spec(prompt=f'file:{tmp_path / "p.pth"}')
    shown = name.replace('bias', 'weight')  # They are one matrix.
    with pytest.raises(
        PromptError, match=f"p.pth: tensor '{shown}'.* holds NaN or infinite values"
    ):
        generate(spec)
    if 'bias' not in name:
        with pytest.raises(PromptError, match=f"'{name}'.* holds NaN or infinite values"):
            take_prompt(spec)


@pytest.mark.usefixtures('nothing_cached')
def test_shapes_that_do_not_fit(make_spec: MakeSpec, tmp_path: Path) -> None:
    tensors = get_architecture('test_resnet', 6).initialise(5)
    tensors['layer2.0.conv1.weight'] = torch.zeros(3, 2, 1, 1)
    torch.save(tensors, tmp_path / 'p.pth')
    wanted = list(get_architecture('test_resnet', 6).shapes['layer2.0.conv1.weight'].shape)
    message = rf"'layer2.0.conv1.weight' has shape \[3, 2, 1, 1\], the architecture wants \{wanted}"
    with pytest.raises(PromptError, match=message):
        generate(make_spec(prompt=f'file:{tmp_path / "p.pth"}'))


@pytest.mark.parametrize(
    'content',
    [
        {},
        {'state_dict': {}},
        {'x': torch.zeros(3)},
        {'conv1.weight': torch.zeros(0)},
        torch.zeros(3),
        'weights',
        {'conv1.0.weight': torch.zeros(24, 6, 3, 3)},
    ],
    ids=['empty', 'empty inside', 'foreign', 'no values', 'tensor', 'text', 'stem alone'],
)
@pytest.mark.usefixtures('nothing_cached')
def test_absurd_state_dicts(make_spec: MakeSpec, tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / 'p.pth')
    with pytest.raises(PromptError, match=r'p\.pth'):
        generate(make_spec(prompt=f'file:{tmp_path / "p.pth"}'))


@pytest.mark.usefixtures('nothing_cached')
def test_unknown_prompts(make_spec: MakeSpec, tmp_path: Path) -> None:
    with pytest.raises(PromptError, match='does not exist'):
        generate(make_spec(prompt=f'file:{tmp_path}/none.pth'))
    with pytest.raises(PromptError, match=r"unknown prompt 'randon'.*did you mean 'random'"):
        generate(make_spec(prompt='randon'))
    with pytest.raises(PromptError, match="did you mean 'ukis:6b_l1c'"):
        generate(make_spec('tf_efficientnet_b4', prompt='ukis:6b_l1d'))


@pytest.mark.parametrize('content', [b'', b'GARBAGE' * 100], ids=['empty', 'garbage'])
@pytest.mark.usefixtures('nothing_cached')
def test_a_corrupt_foundry(make_spec: MakeSpec, tmp_path: Path, content: bytes) -> None:
    (tmp_path / 'foundry.safetensors').write_bytes(content)
    with pytest.raises(FoundryError, match='not a readable safetensors file'):
        generate(make_spec(foundry=str(tmp_path / 'foundry.safetensors')))


@pytest.mark.usefixtures('nothing_cached')
def test_a_truncated_foundry(
    make_spec: MakeSpec, foundries: dict[str, str], tmp_path: Path
) -> None:
    content = Path(foundries['dense']).read_bytes()
    (tmp_path / 'foundry.safetensors').write_bytes(content[: len(content) // 2])
    with pytest.raises(FoundryError, match=r'foundry\.safetensors'):
        generate(make_spec(foundry=str(tmp_path / 'foundry.safetensors')))


@pytest.mark.usefixtures('nothing_cached')
def test_an_unknown_foundry(make_spec: MakeSpec) -> None:
    with pytest.raises(FoundryError, match="unknown foundry 'embeded'"):
        generate(make_spec(foundry='embeded'))


@pytest.mark.usefixtures('nothing_cached')
def test_a_foundry_that_decodes_to_infinity(
    make_spec: MakeSpec, foundries: dict[str, str], tmp_path: Path
) -> None:
    from torchgeo_geosane.foundry.checkpoint import save
    from torchgeo_geosane.foundry.foundry import Foundry

    foundry = Foundry.load(foundries['dense'])
    foundry.model.detokenizer.weight.fill_(3e38)
    save(tmp_path / 'f.safetensors', foundry.model, {})
    with pytest.raises(
        FoundryError, match='came out with NaN or infinite values: choose a smaller'
    ):
        generate(make_spec(foundry=str(tmp_path / 'f.safetensors')))


@pytest.mark.usefixtures('nothing_cached')
def test_a_changed_foundry_is_another_key(
    make_spec: MakeSpec, foundries: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / 'f.safetensors'
    file.write_bytes(Path(foundries['dense']).read_bytes())
    before = identify(make_spec(foundry=str(file)))
    file.write_bytes(Path(foundries['matrices']).read_bytes())
    assert identify(make_spec(foundry=str(file))) != before


@pytest.mark.usefixtures('nothing_cached')
def test_every_error_is_ours(make_spec: MakeSpec) -> None:
    for architecture in ('csatv2', 'tresnet_m'):
        with pytest.raises(GeoSANEError, match=architecture):
            generate(make_spec(architecture))
    assert cache.entries() == []
