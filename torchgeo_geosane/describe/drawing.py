"""Where images and parts lie, as a figure."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from rasterio.errors import RasterioError

from torchgeo_geosane.datamodules.parts import Part
from torchgeo_geosane.datamodules.windows import grid_windows
from torchgeo_geosane.datasets import Imagery
from torchgeo_geosane.describe.tables import spread
from torchgeo_geosane.errors import DataError

# Okabe and Ito's: told apart with every kind of colour vision.
_COLOURS: Mapping[str, str] = {'train': '#0072b2', 'val': '#e69f00', 'test': '#d55e00'}
_PREVIEW = 256


def draw(data: Imagery, parts: Mapping[Part, Imagery]) -> Figure:
    """Footprints and parts, and one chip beside them.

    Args:
        data: The imagery.
        parts: Its parts; empty where it cannot be divided.
    """
    figure = Figure(figsize=(11, 5), layout='constrained')
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    data.index.boundary.plot(ax=left, color='black', linewidth=0.8)
    for name, part in parts.items():
        part.index.plot(ax=left, color=_COLOURS[name], alpha=0.35)
    count = len(data.index)
    title = f'footprint{"s" * (count != 1)} of {count} image{"s" * (count != 1)}'
    left.set(title=title, xlabel=_crs(data), ylabel='', aspect='equal')
    left.ticklabel_format(useOffset=False, style='plain')
    left.tick_params(labelsize='small', axis='x', rotation=30)
    handles = [Patch(color=_COLOURS[name], alpha=0.35, label=name) for name in parts]
    if handles:
        left.legend(
            handles=handles,
            loc='upper center',
            bbox_to_anchor=(0.5, -0.2),
            ncols=3,
            fontsize='small',
        )
    image = _preview(data)
    right.axis('off')
    if image is not None:
        right.imshow(image)
        right.set_title('a chip of the first image')
    return figure


def _crs(data: Imagery) -> str:
    code = data.crs.to_epsg()
    return f'EPSG:{code}' if code else str(data.crs.name)


def _preview(data: Imagery) -> np.ndarray | None:
    """A chip in colours, else its first band in grey; None where none holds data."""
    for window in spread(grid_windows(data, _PREVIEW)):
        try:
            pixels = data.pixels(window).astype(np.float32)
        except (DataError, RasterioError):
            return None
        if np.isfinite(pixels).mean() > 0.5:
            shown = {band.description: band.name for band in data.stack.channels}
            names = [shown.get(colour) for colour in ('red', 'green', 'blue')]
            rows = [data.bands.index(name) for name in names if name is not None]
            chosen = pixels[rows] if len(rows) == 3 else np.repeat(pixels[:1], 3, axis=0)
            low, high = np.nanpercentile(chosen, [2, 98], axis=(1, 2), keepdims=True)
            scaled = (chosen - low) / np.maximum(high - low, 1e-6)
            return np.nan_to_num(np.clip(scaled, 0, 1), nan=1.0).transpose(1, 2, 0)
    return None
