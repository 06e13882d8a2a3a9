"""Directives that make parts of a page from the code, so that they cannot fall behind it.

``geosane-table`` draws a table of ``tables.py``, ``geosane-picture`` a picture of ``gallery.py``,
``geosane-measured`` draws a benchmark's figures above its report,
``geosane-cli`` runs our command line and shows what it prints, ``geosane-error`` runs a few lines
that fail and shows the error.
"""

import contextlib
import io
import os
import re
import tempfile
from html import escape
from pathlib import Path
from typing import ClassVar
from unittest import mock

import figures
import gallery
import tables
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from torchgeo_geosane.cache import ENVIRONMENT
from torchgeo_geosane.cli import main
from torchgeo_geosane.compare.figures import Drawing
from torchgeo_geosane.errors import GeoSANEError


class TableDirective(SphinxDirective):
    """``{geosane-table} sensors``: one of the tables of ``tables.py``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Make the table and parse it as part of the page."""
        return self.parse_text_to_nodes(tables.TABLES[self.arguments[0]]())


class MeasuredDirective(SphinxDirective):
    """``{geosane-measured} generate``: a benchmark's figures, its report below, where it has been run.

    ``:columns:`` names the columns of its first table that are shown, parted by ``|``; ``:folded:``
    hides the report until one asks for it.
    """

    required_arguments = 1
    option_spec: ClassVar = {'columns': directives.unchanged, 'folded': directives.flag}

    def run(self) -> list[nodes.Node]:
        """Draw the figures, and parse the report as part of the page."""
        name = self.arguments[0]
        report = Path(self.env.srcdir, 'benchmarks', f'{name}.md')
        self.env.note_dependency(str(report))
        if not report.exists():
            return self.parse_text_to_nodes('*Not measured in this version.*')
        text = '\n'.join(
            line for line in report.read_text().splitlines() if not line.startswith('# ')
        )
        if 'columns' in self.options:
            text = _with_columns(text, [one.strip() for one in self.options['columns'].split('|')])
        shown = [_figure(drawing) for drawing in figures.drawings(name)]
        for picture in filter(Path.exists, map(report.with_suffix, ('.png', '.svg'))):
            shown += self.parse_text_to_nodes(f'![{name}](benchmarks/{picture.name})')
        told = self.parse_text_to_nodes(text)
        if 'folded' in self.options:
            told = [_html('<details><summary>Table</summary>'), *told, _html('</details>')]
        return [*shown, *told]


def _figure(drawing: Drawing) -> nodes.raw:
    """A figure with its caption, in the page's own colours."""
    svg = drawing.svg.replace('<svg ', f'<svg role="img" aria-label="{escape(drawing.alt)}" ', 1)
    return _html(f'<figure>{svg}<figcaption>{escape(drawing.title)}</figcaption></figure>')


def _html(text: str) -> nodes.raw:
    return nodes.raw('', text, format='html')


def _with_columns(text: str, columns: list[str]) -> str:
    """A report whose first table has only these columns."""
    before, table, after = re.split(r'((?:^\|.*\n)+)', text, maxsplit=1, flags=re.MULTILINE)
    rows = [[cell.strip() for cell in line.strip()[1:-1].split('|')] for line in table.splitlines()]
    chosen = [rows[0].index(column) for column in columns]
    lines = [' | '.join(row[index] for index in chosen) for row in rows]
    return before + ''.join(f'| {line} |\n' for line in lines) + after


class PictureDirective(SphinxDirective):
    """``{geosane-picture} described``: one of the pictures of ``gallery.py``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Draw the picture."""
        return [_html(gallery.html(self.arguments[0]))]


class CommandDirective(SphinxDirective):
    """``{geosane-cli} generate --help``: a command of ours and what it prints."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Run the command in this process."""
        command = self.arguments[0]
        printed = io.StringIO()
        environment = mock.patch.dict(os.environ, COLUMNS='90')
        with environment, contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            main(command.split())
        return [_literal(f'$ torchgeo-geosane {command}\n{printed.getvalue()}', 'console')]


class ErrorDirective(SphinxDirective):
    """``{geosane-error}``: code that raises an error of ours, and the error."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Run the code in an empty folder; it must fail, and with an error of ours."""
        code = '\n'.join(self.content)
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), _cache_in(folder):
            try:
                exec(code, {})
            except GeoSANEError as error:
                message = f'{type(error).__name__}: {error}'.replace(folder, '/home/you')
            else:
                raise self.error('the code was to fail, but it did not')
        return [_literal(code, 'python'), _literal(message, 'text')]


def _cache_in(folder: str) -> 'mock._patch_dict':
    return mock.patch.dict(os.environ, {ENVIRONMENT: folder})


def _literal(text: str, language: str) -> nodes.literal_block:
    block = nodes.literal_block(text, text)
    block['language'] = language
    return block


def setup(app: Sphinx) -> dict[str, bool]:
    """Make the directives known."""
    app.add_directive('geosane-table', TableDirective)
    app.add_directive('geosane-measured', MeasuredDirective)
    app.add_directive('geosane-picture', PictureDirective)
    app.add_directive('geosane-cli', CommandDirective)
    app.add_directive('geosane-error', ErrorDirective)
    return {'parallel_read_safe': True}
