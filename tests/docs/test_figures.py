"""Pages of measurements have figures, and name columns that their reports have."""

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree as ET

import pytest

DOCS = Path(__file__).parents[2] / 'docs'
SHOWN = re.compile(r'```\{geosane-measured\} (\S+)\n(?::columns: (.*)\n)?')
MEASURED = [
    (page, *match)
    for page in sorted(DOCS.glob('*.md'))
    for match in SHOWN.findall(page.read_text())
]


@pytest.fixture(scope='module')
def figures() -> ModuleType:
    sys.path.insert(0, str(DOCS))
    try:
        return importlib.import_module('figures')
    finally:
        sys.path.remove(str(DOCS))


def test_figures_are_drawn_and_told(figures: ModuleType) -> None:
    for name in figures.FIGURES:
        for drawing in figures.drawings(name):
            assert ET.fromstring(drawing.svg).tag.endswith('svg')
            assert len(drawing.alt) > 20
            assert drawing.title


def test_a_report_that_is_missing_has_no_figures(figures: ModuleType) -> None:
    assert figures.drawings('never_measured') == []


def test_numbers_in_cells(figures: ModuleType) -> None:
    assert figures.numbers('-0.006 [-0.033, +0.022]') == [-0.006, -0.033, 0.022]
    assert figures.numbers('1,317,865') == [1317865]


@pytest.mark.parametrize(('page', 'name', 'columns'), [row for row in MEASURED if row[2]])
def test_columns_are_in_the_report(page: Path, name: str, columns: str) -> None:
    table = re.search(r'^\|(.*)\|$', (DOCS / 'benchmarks' / f'{name}.md').read_text(), re.MULTILINE)
    assert table is not None
    header = [cell.strip() for cell in table[1].split('|')]
    assert not [one for one in columns.split('|') if one.strip() not in header], page


def test_verdicts_are_short() -> None:
    """At most five sentences between a figure and the next command or heading."""
    text = (DOCS / 'measurements.md').read_text()
    for block in re.findall(r'```\n\n([A-Z][^\n](?:.|\n(?!\n))*)', text):
        assert len(re.findall(r'[a-z\d)`]\.(?:\s|$)', block)) <= 5, block
