"""HTML pages from Jinja templates, with their pictures inside."""

import base64
import io
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib.figure import Figure


def render_page(template: Path, **values: object) -> str:
    """A page from a template: what is put in is escaped, and a value that is lacking is an error.

    Args:
        template: The template's file.
        **values: What the template may name.
    """
    environment = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template(template.name).render(**values)


def embed_figure(figure: Figure, dpi: int) -> str:
    """A figure as an address that holds it, for ``src``."""
    picture = io.BytesIO()
    figure.savefig(picture, format='png', dpi=dpi)
    return embed_png(picture.getvalue())


def embed_png(content: bytes) -> str:
    """A PNG as an address that holds it, for ``src``."""
    return f'data:image/png;base64,{base64.b64encode(content).decode()}'
