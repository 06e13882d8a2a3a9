"""Every command, config and piece of Python that a page shows is understood by what it is for.

Commands are parsed by the real command line, up to where they would begin to work; configs too, laid
over a whole one. Python must compile, import what is there, and use only what the page has defined.
"""

import argparse
import ast
import builtins
import importlib
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import jsonargparse
import pytest
import torchgeo.main
import yaml

from torchgeo_geosane.cli import main
from torchgeo_geosane.packages import PACKAGES
from torchgeo_geosane.providers.catalog import find_spec
from torchgeo_geosane.training.configs import find_config

ROOT = Path(__file__).parents[2]
DOCS = ROOT / 'docs'
PAGES = [ROOT / 'README.md', *sorted(DOCS.glob('*.md')), *sorted(DOCS.glob('tutorials/*.md'))]

# What is not ours to parse, and who runs it.
EXEMPT = {
    r'python3 -m venv ': '.ci/run runs both, in a fresh clone',
    r'\.venv/bin/(ruff|pip)': '.ci/run checks, and builds the site',
    r'(GEOSANE_TUTORIAL_STEPS=2 )?sphinx-build ': '.ci/run builds the site',
    r'\.venv/bin/python docs/tables\.py$': 'tests/docs/test_readme.py makes the table',
    r'\.venv/bin/python docs/gallery\.py$': 'finetunes the quickstart, as .ci/run does',
    r'jupyter lab docs/tutorials/quickstart\.ipynb$': 'the site runs the notebook',
    r'(pip (install|download)|npm pack) ': 'extras and packages: tested below',
    r'hf upload ': 'needs an account',
    r'export \w+=': 'the shell’s',
    r'cd \w+$': 'the shell’s',
}
# Files that pages speak of, and one that stands for each.
FILES = {
    'fit.yaml': 'examples/quickstart.yaml',
    'config.yaml': 'examples/quickstart.yaml',
    'change.yaml': 'examples/quickstart.yaml',
    'collect.yaml': 'docs/collect.yaml',
}


def fences(page: Path, language: str) -> list[str]:
    return re.findall(rf'^```{language}\n(.*?)^```', page.read_text(), re.DOTALL | re.MULTILINE)


def commands() -> dict[str, Path]:
    """Every command, and a page that shows it."""
    found: dict[str, Path] = {}
    for page in PAGES:
        for block in fences(page, 'bash') + fences(page, 'console'):
            lines = re.sub(r'\\\n\s*', '', block).splitlines()
            if any(line.startswith('$ ') for line in lines):
                lines = [line[2:] for line in lines if line.startswith('$ ')]
            for line in lines:
                whole = line.startswith(('python3 -m venv', '.venv'))
                for one in [line] if whole else line.split(' && '):
                    found.setdefault(one.strip(), page)
    return {line: page for line, page in found.items() if line and not line.startswith('#')}


COMMANDS = [line for line in commands() if not any(re.match(one, line) for one in EXEMPT)]


class ParsedError(BaseException):
    """The arguments were understood; nothing runs."""


@pytest.fixture
def parse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """In a folder with what pages speak of, every parser stops once it has understood."""
    monkeypatch.chdir(tmp_path)
    for name in ('examples', 'docs', 'benchmarks'):
        Path(name).symlink_to(ROOT / name)
    for name, target in FILES.items():
        Path(name).symlink_to(ROOT / target)
    for parser in (jsonargparse.ArgumentParser, argparse.ArgumentParser):
        original = parser.__dict__['parse_args']

        def stop(
            self: object, *args: object, _original: object = original, **options: object
        ) -> None:
            _original(self, *args, **options)  # type: ignore[operator]
            raise ParsedError

        monkeypatch.setattr(parser, 'parse_args', stop)
    return monkeypatch


@pytest.mark.parametrize('line', COMMANDS)
def test_commands_are_understood(line: str, parse: pytest.MonkeyPatch) -> None:
    with pytest.raises(ParsedError):
        run(line, parse)


def run(line: str, patch: pytest.MonkeyPatch) -> None:
    """Run a command in this process, as far as its parser."""
    # Without variables that are set for it alone.
    program, *arguments = shlex.split(re.sub(r'^(\w+=\S+ )+', '', line))
    if program == 'torchgeo-geosane':
        assert main(arguments) == 0
    elif program == 'torchgeo':
        torchgeo.main.main(arguments)
    else:
        assert program == 'python', f'{line}: how is this to be tested?'
        run_benchmark(Path(arguments[0]), arguments[1:], patch)


def run_benchmark(script: Path, arguments: list[str], patch: pytest.MonkeyPatch) -> None:
    """Run a script of ours as far as its parser; what takes no arguments must compile."""
    if 'parse_args' not in (ROOT / script).read_text():
        compile((ROOT / script).read_text(), script, 'exec')
        assert not arguments
        raise ParsedError
    patch.syspath_prepend(str(ROOT / script.parent))
    patch.setattr(sys, 'argv', [str(script), *arguments])
    namespace: dict[str, object] = {'__name__': '__main__', '__file__': str(ROOT / script)}
    exec(compile((ROOT / script).read_text(), str(script), 'exec'), namespace)


def test_exemptions_are_needed() -> None:
    assert not [one for one in EXEMPT if not any(re.match(one, line) for line in commands())]


def test_extras_exist() -> None:
    extras = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project'][
        'optional-dependencies'
    ]
    asked = {extra for line in commands() for extra in re.findall(r'"[.\w-]+\[(\w+)\]"', line)}
    assert asked
    assert asked <= extras.keys()


def test_packages_are_those_of_the_table() -> None:
    asked = ' '.join(line for line in commands() if line.startswith(('pip download', 'npm pack')))
    wanted = [
        package.way.split(', and')[0].split()[-1] for package in PACKAGES if not package.extra
    ]
    assert not [package for package in wanted if package not in asked.split()]


def configs() -> Iterator[tuple[Path, str]]:
    for page in PAGES:
        for text in fences(page, 'yaml'):
            yield page, text


@pytest.mark.parametrize(
    ('page', 'text'), list(configs()), ids=lambda part: getattr(part, 'stem', '')
)
def test_configs_are_understood(page: Path, text: str, parse: pytest.MonkeyPatch) -> None:
    content = yaml.safe_load(text)
    if 'terratorch' in text:
        backbone = content['model']['init_args']['model_args']['backbone']
        assert find_spec(backbone).sensor  # CI runs examples/terratorch.yaml beside TerraTorch.
        return
    if content.keys() == {'weights'}:
        assert find_spec(content['weights']).sensor
        return
    command, base = whole(content)
    Path('examples_config.yaml').write_text(yaml.safe_dump({**base, **content}))
    with pytest.raises(ParsedError):
        main([*command, '--config', 'examples_config.yaml', *OUTPUTS.get(command[0], [])])


OUTPUTS = {'foundry': ['--output', 'out'], 'collect': ['--output', 'out.jsonl']}


def whole(content: dict[str, object]) -> tuple[list[str], dict[str, object]]:
    """The command that a part of a config is for, and a whole config that it is laid over."""
    keys = content.keys()
    if keys & {'initialisations', 'fractions', 'seeds', 'models'}:
        base = read(ROOT / 'examples' / 'compare' / 'sentinel2_landuse.yaml')
        content.pop('fit', None)
        return ['compare'], {**base, 'fit': 'examples/quickstart.yaml'}
    if keys & {'hardware', 'collection', 'logger'}:
        return ['foundry', 'train'], read(find_config('embedded'))
    if keys & {'split', 'rules', 'sources'}:
        return ['collect'], read(DOCS / 'collect.yaml')
    return ['fit'], read(ROOT / 'examples' / 'quickstart.yaml')


def read(path: Path) -> dict[str, object]:
    content = yaml.safe_load(path.read_text())
    assert isinstance(content, dict)
    return content


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.stem)
def test_python_is_understood(page: Path) -> None:
    defined = {*dir(builtins), 'task', 'trainer'}  # A reader's own.
    for text in fences(page, 'python'):
        tree = ast.parse(text)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(str(node.module))
                assert not [one.name for one in node.names if not hasattr(module, one.name)], page
            if isinstance(node, ast.Import):
                for one in node.names:
                    importlib.import_module(one.name)
            if isinstance(node, ast.Import | ast.ImportFrom):
                defined |= {(one.asname or one.name).partition('.')[0] for one in node.names}
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                defined.add(node.id)
        used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        assert used <= defined, f'{page.name}: {used - defined}'


@pytest.mark.parametrize(
    'command',
    [
        *('', 'fit', 'validate', 'test', 'predict', 'export', 'list', 'generate', 'info', 'cache'),
        *('examples', 'describe', 'collect', 'compare', 'compare aggregate', 'rank'),
        *('foundry', 'foundry train', 'foundry map', 'foundry info'),
    ],
)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), '--help'])
    assert ended.value.code == 0
    assert 'usage: ' in capsys.readouterr().out
