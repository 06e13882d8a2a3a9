"""Pages are whole, and nothing that is put into them can become markup."""

from pathlib import Path

import pytest
from jinja2 import UndefinedError

from torchgeo_geosane.pages import render_page


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / 'page.html.jinja'
    path.write_text(
        '{% if names %}\n{% for name in names %}<p>{{ name }}</p>{% endfor %}{% endif %}'
    )
    return path


def test_values_are_escaped(template: Path) -> None:
    page = render_page(template, names=['a', '<script>'])
    assert page == '<p>a</p><p>&lt;script&gt;</p>'


def test_a_value_that_is_lacking(template: Path) -> None:
    with pytest.raises(UndefinedError, match="'names' is undefined"):
        render_page(template, name='a')
