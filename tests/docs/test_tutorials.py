"""Tutorials are short, can be run short, and are listed; that they run, the site's build shows."""

import json
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / 'docs' / 'tutorials'
INDEX = (FOLDER / 'index.md').read_text()
NOTEBOOKS = sorted(FOLDER.glob('*.ipynb'))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request: pytest.FixtureRequest) -> Path:
    path = request.param
    assert isinstance(path, Path)
    return path


def cells(notebook: Path) -> list[dict[str, str]]:
    """Kind and text of every cell."""
    read = json.loads(notebook.read_text())['cells']
    return [{'kind': cell['cell_type'], 'text': ''.join(cell['source'])} for cell in read]


def test_at_most_fifteen_cells(notebook: Path) -> None:
    assert len(cells(notebook)) <= 15


def test_begins_with_a_title_and_draws_figures(notebook: Path) -> None:
    first, *others = cells(notebook)
    assert first['text'].startswith('# ')
    assert sum(bool(re.search(r'plot|imshow|figure|Image\(', cell['text'])) for cell in others) >= 2


def test_what_trains_has_a_short_form(notebook: Path) -> None:
    text = ' '.join(cell['text'] for cell in cells(notebook) if cell['kind'] == 'code')
    assert not re.search(r'Trainer\(|\.backward\(\)', text) or 'GEOSANE_TUTORIAL_STEPS' in text


def test_is_listed(notebook: Path) -> None:
    listed = re.search(r'```\{toctree\}(.*?)```', INDEX, re.DOTALL)
    assert listed is not None
    assert notebook.stem in listed[1].split()
