"""The documentation names things that exist, and its map of the rooms is the code's."""

import ast
import json
import re
from pathlib import Path

import pytest

from torchgeo_geosane.providers.catalog import catalogue, find_spec, official
from torchgeo_geosane.providers.ensemble import EnsembleSpec
from torchgeo_geosane.spec import Spec

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').rglob('*.md'))]
CONCEPTS = (ROOT / 'docs' / 'concepts.md').read_text()
PACKAGE = ROOT / 'torchgeo_geosane'


def prose(page: Path) -> str:
    """A page without the blocks that are meant to fail, and the errors that quote a wrong name."""
    fails = r'```\{geosane-error\}.*?```|```text\nunknown .*?```'
    return re.sub(fails, '', page.read_text(), flags=re.DOTALL)


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_names_exist(page: Path) -> None:
    names = {entry.name for entry in (*catalogue(), *official())}
    assert set(re.findall(r'GeoSANE_\w+_Weights\.[A-Z0-9_]+', prose(page))) <= names


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_urls_parse(page: Path) -> None:
    for url in re.findall(r'geosane://\w+\?[^\s"`\')]+', prose(page)):
        assert Spec.parse(url).url.startswith('geosane://')


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_timm_names_parse(page: Path) -> None:
    for name in re.findall(
        r'\bgeosane_\w+\.(?!py\b)[a-z][\w.+]*(?:[&=%,*\[\]\w.+]+)?', prose(page)
    ):
        if name.startswith('geosane_ensemble.'):
            assert EnsembleSpec.parse(name).bands
        else:
            assert find_spec(name.rstrip('.')).target.in_chans


def test_invariants_name_tests_that_exist() -> None:
    cited = re.findall(r'`(tests/[\w/]+\.py)`(?: \(`(\w+)`\))?', CONCEPTS)
    assert len(cited) >= 9
    for file, function in cited:
        assert f'def {function}' in (ROOT / file).read_text()


@pytest.mark.parametrize('tutorial', sorted((ROOT / 'docs').rglob('*.ipynb')), ids=str)
def test_tutorials_carry_no_outputs(tutorial: Path) -> None:
    cells = json.loads(tutorial.read_text())['cells']
    assert not any(cell.get('outputs') or cell.get('execution_count') for cell in cells)


def rooms() -> list[str]:
    """The rooms of the package, from the uppermost down, as the page on concepts lists them."""
    listed = re.search(r'```text\ntorchgeo_geosane/\n(.*?)```', CONCEPTS, re.DOTALL)
    assert listed is not None
    return [line.split()[0].rstrip('/') for line in listed[1].splitlines()]


def test_every_room_is_on_the_map() -> None:
    found = {path.name for path in PACKAGE.glob('*.py')}
    found |= {path.parent.name for path in PACKAGE.glob('*/__init__.py')}
    assert set(rooms()) == found


def test_rooms_are_listed_in_the_order_of_their_imports() -> None:
    order = [room.removesuffix('.py') for room in rooms()]
    for file in sorted(PACKAGE.rglob('*.py')):
        own = order.index(file.relative_to(PACKAGE).parts[0].removesuffix('.py'))
        for room in imports(file):
            assert order.index(room) >= own, f'{file} imports {room!r}, which is listed above it'


def imports(file: Path) -> set[str]:
    """The rooms that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == 'torchgeo_geosane':
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= _room(node.module or '')
        elif isinstance(node, ast.Import):
            found |= {room for alias in node.names for room in _room(alias.name)}
    return found


def _room(module: str) -> set[str]:
    package, _, rest = module.partition('.')
    return {rest.split('.')[0] or '__init__'} if package == 'torchgeo_geosane' else set()
