"""Directives that make parts of a page from the code, so that they cannot fall behind it.

``geosane-table`` draws a table of ``tables.py``, ``geosane-measured`` includes a benchmark's report,
``geosane-cli`` runs our command line and shows what it prints, ``geosane-error`` runs a few lines
that fail and shows the error.
"""

import contextlib
import io
import os
import tempfile
from pathlib import Path
from unittest import mock

import tables
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from torchgeo_geosane.cache import ENVIRONMENT
from torchgeo_geosane.cli import main
from torchgeo_geosane.errors import GeoSANEError


class TableDirective(SphinxDirective):
    """``{geosane-table} sensors``: one of the tables of ``tables.py``."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Make the table and parse it as part of the page."""
        return self.parse_text_to_nodes(tables.TABLES[self.arguments[0]]())


class MeasuredDirective(SphinxDirective):
    """``{geosane-measured} quickstart``: a benchmark's report and figure, where it has been run."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Parse the report as part of the page."""
        report, figure = (
            Path(self.env.srcdir, 'benchmarks', f'{self.arguments[0]}{suffix}')
            for suffix in ('.md', '.png')
        )
        self.env.note_dependency(str(report))
        text = report.read_text() if report.exists() else '*Not measured in this version.*'
        text = '\n'.join(line for line in text.splitlines() if not line.startswith('# '))
        if figure.exists():
            text = f'![{self.arguments[0]}](benchmarks/{figure.name})\n\n{text}'
        return self.parse_text_to_nodes(text)


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
    app.add_directive('geosane-cli', CommandDirective)
    app.add_directive('geosane-error', ErrorDirective)
    return {'parallel_read_safe': True}
