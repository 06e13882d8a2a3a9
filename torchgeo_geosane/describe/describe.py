"""Describe imagery: what would be read of it, and how that was decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchgeo_geosane.atomic import replacing
from torchgeo_geosane.datamodules import ImageryDataModule
from torchgeo_geosane.datamodules.parts import Part, divide
from torchgeo_geosane.datamodules.windows import grid_windows
from torchgeo_geosane.datasets import Imagery
from torchgeo_geosane.describe import tables
from torchgeo_geosane.describe.drawing import draw
from torchgeo_geosane.describe.tables import Table, spread
from torchgeo_geosane.errors import DataError
from torchgeo_geosane.pages import embed_figure, render_page

_TEMPLATE = Path(__file__).with_name('page.html.jinja')
_CHIP = 64
_PIXELS = 100_000


@dataclass(frozen=True)
class Described:
    """What would be read.

    Attributes:
        tables: Images, bands, labels, parts, and what is not read.
        guesses: What nobody says and was guessed or left open, a sentence each.
        page: The page that shows it all with a figure, and opens without network.
    """

    tables: tuple[Table, ...]
    guesses: tuple[str, ...]
    page: Path


def describe(settings: Mapping[str, Any], output: Path, guessed: Sequence[str] = ()) -> Described:
    """Find what a data module would read, and write a page of it; nothing is trained.

    Args:
        settings: Arguments of :class:`~torchgeo_geosane.datamodules.imagery.ImageryDataModule`.
        output: The page's file.
        guessed: What was guessed before, the sensor say.

    Raises:
        GeoSANEError: If files are missing, damaged or contradict each other: what training would
            say.
    """
    module = ImageryDataModule(**settings)
    data = Imagery(**module.kwargs)
    parts: dict[Part, Imagery] = {}
    undivided = ''
    try:
        parts = divide(data, module.split, module.gap)
    except DataError as error:
        undivided = f'not divided into training, validation and test: {error}'
    sources, sample = data.stack.sources, _sample(data)
    found = [tables.images_table(source) for source in sources]
    found += [tables.bands_table(data, source, sample) for source in sources]
    if data.labels is not None:
        found.append(tables.labels_table(data, parts))
    if parts:
        found.append(tables.parts_table(parts))
    left_out = tables.left_out_table(sources)
    found += [left_out] if left_out.rows else []
    unsure = [*guessed, *(text for source in sources for text in tables.guesses(source))]
    unsure += [undivided] if undivided else []
    described = Described(tuple(found), tuple(unsure), output)
    _write(described, data, parts)
    return described


def _sample(data: Imagery) -> NDArray[np.float32] | None:
    """Values of all bands, [bands, n], from chips that are evenly spread."""
    chips = [
        data.pixels(window).astype(np.float32).reshape(len(data.bands), -1)
        for window in spread(grid_windows(data, _CHIP))
    ]
    if not chips:
        return None
    values = np.concatenate(chips, axis=1)
    return values[:, :: max(1, values.shape[1] // _PIXELS)]


def _write(described: Described, data: Imagery, parts: Mapping[Part, Imagery]) -> None:
    page = render_page(
        _TEMPLATE,
        tables=described.tables,
        guesses=described.guesses,
        picture=embed_figure(draw(data, parts), dpi=120),
    )
    with replacing(described.page) as provisional:
        provisional.write_text(page, encoding='utf-8')
