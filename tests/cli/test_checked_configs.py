"""Configurations are looked at before a parser unfolds them; whatever the system says is told."""

import os
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from torchgeo_geosane.cli import main
from torchgeo_geosane.cli.configs import ConfigError, check_configs, count_nodes
from torchgeo_geosane.foundry.files import ContentError

Capture = pytest.CaptureFixture[str]

COMMANDS = [['fit'], ['collect'], ['compare'], ['foundry', 'train'], ['foundry', 'map']]


def bomb(levels: int) -> str:
    """Ten times as much at each level."""
    lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]']
    lines += [f'a{i}: &a{i} [{", ".join([f"*a{i - 1}"] * 10)}]' for i in range(1, levels)]
    return '\n'.join(lines)


@pytest.mark.parametrize('command', COMMANDS, ids=' '.join)
@pytest.mark.parametrize('joined', [False, True])
def test_alias_bombs(tmp_path: Path, command: list[str], joined: bool, capsys: Capture) -> None:
    path = tmp_path / 'c.yaml'
    path.write_text(bomb(12))
    option = [f'--config={path}'] if joined else ['--config', str(path)]
    assert main([*command, *option]) == 2
    assert 'aliases (*name) stand for millions of values' in capsys.readouterr().err


def test_what_is_no_configuration(tmp_path: Path, capsys: Capture) -> None:
    os.mkfifo(tmp_path / 'pipe.yaml')
    (tmp_path / 'binary.yaml').write_bytes(b'\xff\xfe\x00')
    (tmp_path / 'itself.yaml').symlink_to('itself.yaml')
    (tmp_path / 'inside.yaml').write_text('a: &a [*a]')
    (tmp_path / 'broken.yaml').write_text('a: [')
    (tmp_path / 'folder.yaml').mkdir()
    (tmp_path / 'deep.yaml').write_text('[' * 100_000)
    with (tmp_path / 'large.yaml').open('wb') as file:
        file.truncate(2**40)
    for name, words in {
        'pipe.yaml': 'is a pipe',
        'binary.yaml': 'no UTF-8',
        'itself.yaml': 'a link that leads to itself',
        'inside.yaml': 'inside of',
        'broken.yaml': 'cannot be read',
        'folder.yaml': 'is a folder',
        'deep.yaml': 'cannot be read',
        'large.yaml': '1,099,511,627,776 bytes',
        '/dev/zero': 'is a device',
        'gone.yaml': 'there is no such file',
    }.items():
        for command in (['fit'], ['collect']):
            assert main([*command, '--config', str(tmp_path / name)]) == 2
            assert words in capsys.readouterr().err, name


def test_names_and_values_are_left_to_the_parser() -> None:
    check_configs(['foundry', 'train', '--config', 'embedded'])
    check_configs(['fit', '--model', 'SemanticSegmentationTask', '--data={a: 1}', '--config'])


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text('abc*&'),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text('xyz'), inner, max_size=4)
        ),
        max_leaves=20,
    )
)
def test_nodes_are_counted_as_they_are(value: object) -> None:
    shared = [value, value, {'a': value}]  # Written with an anchor and aliases.
    assert count_nodes(yaml.safe_dump(shared)) == nodes(shared)


def nodes(value: object) -> int:
    if isinstance(value, list):
        return 1 + sum(map(nodes, value))
    if isinstance(value, dict):
        return 1 + sum(1 + nodes(inner) for inner in value.values())
    return 1


def test_a_million_is_too_many() -> None:
    with pytest.raises(ContentError):
        count_nodes(bomb(7))
    assert count_nodes(bomb(4)) < 20_000


def test_what_the_system_says_is_told(tmp_path: Path, capsys: Capture) -> None:
    for name in ('a' * 300, '/dev/null/x', 'a' * 5000):
        for command in (
            ['info', name],
            [
                'generate',
                'geosane://test_resnet?sensor=rgb&prompt=random',
                '--out',
                f'{name}/w.safetensors',
            ],
        ):
            assert main(command) == 2
            assert 'torchgeo-geosane: error: ' in capsys.readouterr().err
    with pytest.raises(ConfigError):
        check_configs(['--config', str(tmp_path)])
