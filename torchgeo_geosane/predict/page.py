"""A page of a map: image and map to be faded over each other, areas of classes; all in one file."""

import io
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image

from torchgeo_geosane.atomic import replacing
from torchgeo_geosane.pages import embed_png, render_page
from torchgeo_geosane.predict.mapping import Map
from torchgeo_geosane.predict.preview import Look, bar_length, spelled

_TEMPLATE = Path(__file__).with_name('map.html.jinja')


def write_page(path: Path, seen: Look, made: Map) -> None:
    """Write a page that opens without network.

    Raises:
        CacheError: If the disk refuses.
    """
    with rasterio.open(made.path) as file:
        tags = {key: value for key, value in file.tags().items() if key.startswith('GEOSANE_')}
    total = sum(seen.areas.values()) or 1.0
    rows = [
        {
            'name': name,
            'colour': seen.colours[name],
            'hectares': f'{area / 10_000:,.2f}',
            'share': f'{100 * area / total:.2f}',
        }
        for name, area in seen.areas.items()
    ]
    length = bar_length(seen.metres)
    text = render_page(
        _TEMPLATE,
        title=seen.title,
        images={name: _embedded(image) for name, image in seen.images.items()},
        map=_embedded(seen.map),
        share=length / seen.metres,
        length=spelled(length),
        rows=rows,
        others={} if rows else seen.colours,
        tags=tags,
    )
    with replacing(path) as provisional:
        provisional.write_text(text, encoding='utf-8')


def _embedded(picture: NDArray[np.float64]) -> str:
    """A picture as part of a page."""
    file = io.BytesIO()
    Image.fromarray(np.round(255 * picture).astype(np.uint8), 'RGBA').save(file, 'PNG')
    return embed_png(file.getvalue())
