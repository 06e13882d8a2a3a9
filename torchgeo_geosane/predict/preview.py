"""A look at a map: the scene beside it, legend, scale bar and date, as a PNG."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from rasterio.enums import Resampling

from torchgeo_geosane.atomic import replacing
from torchgeo_geosane.datasets.plotting import composite, stretched
from torchgeo_geosane.predict.areas import PixelAreas
from torchgeo_geosane.predict.layers import Layers
from torchgeo_geosane.predict.mapping import Map
from torchgeo_geosane.predict.scenes import Scene

_MOST = 1200
"""Columns or rows of a picture."""
_COLUMNS = 8
"""Of the legend."""
_SHADES = 'viridis'


@dataclass(frozen=True)
class Look:
    """A scene and its map, small enough to look at.

    Attributes:
        title: The scene's name.
        images: The scene in colours at each date, float, 0 to 1, [rows, columns, 4], by what to call
            it: its date where that is known.
        map: The map in colours, the same.
        colours: Colour by class, or by value.
        areas: Square metres by class; empty where pixels have none.
        metres: Width of the map on the ground.
    """

    title: str
    images: Mapping[str, NDArray[np.float64]]
    map: NDArray[np.float64]
    colours: Mapping[str, str]
    areas: Mapping[str, float]
    metres: float


def look(scene: Scene, made: Map, layers: Layers) -> Look:
    """Read a scene and its map once more, from overviews where files have them.

    Raises:
        DataError: If a file of the scene is damaged.
    """
    step = max(1, math.ceil(max(scene.pixels.height, scene.pixels.width) / _MOST))
    with rasterio.open(made.path) as file:
        shape = math.ceil(file.height / step), math.ceil(file.width / step)
        values = file.read(out_shape=(file.count, *shape), resampling=Resampling.nearest)
        areas = PixelAreas(file.crs, file.transform)
        metres = areas.metres(file.height / 2, 0, file.width)
    painted, colours = _painted(values, made, layers)
    images = {_named(scene, at): _image(date, step) for at, date in enumerate(scene.dates)}
    return Look(scene.name, images, painted, colours, made.areas, metres)


def _named(scene: Scene, at: int) -> str:
    """What to call a scene at one of its dates."""
    name = 'Image' if len(scene.dates) == 1 else ('Before', 'After')[at]
    date = scene.dates[at].date
    return name if date is None else f'{name}, {date.day} {date:%B %Y}'


def _image(scene: Scene, step: int) -> NDArray[np.float64]:
    """The scene as people see it: red, green and blue, VV and VH, or its first band in grey."""
    shown = {band.description: band.name for band in scene.data.stack.channels}
    colours = [shown.get(colour, '') for colour in ('red', 'green', 'blue')]
    choices = (colours, ['VV', 'VH'], [scene.data.bands[0]])
    bands = next(names for names in choices if set(names) <= set(scene.data.bands))
    image = scene.thumbnail(bands, step)
    if len(bands) == 1:
        bands, image = colours, image[[0, 0, 0]]
    known = np.asarray(np.isfinite(image).all(axis=0))
    rgb = stretched(composite(image, bands, colours), known)
    return np.concatenate([rgb, known[..., None]], axis=-1)


def _painted(
    values: NDArray[np.generic], made: Map, layers: Layers
) -> tuple[NDArray[np.float64], dict[str, str]]:
    """A map's first band in colours, and what they stand for."""
    band = values[0]
    if layers.legend is not None:
        colours = dict(made.colours)
        painted = np.zeros((*band.shape, 4))
        for value, colour in zip(layers.legend.values, colours.values(), strict=True):
            painted[band == value] = to_rgba(colour)
        return painted, colours
    known = np.isfinite(band) if np.isnan(layers.nodata) else band != layers.nodata
    numbers = np.where(known, band, 0).astype(float) * layers.scale
    low, high = (
        (float(at) for at in np.percentile(numbers[known], (2, 98))) if known.any() else (0, 1)
    )
    if layers.kind != 'values':
        low, high = 0.0, 1.0
    shades = colormaps[_SHADES]
    painted = shades(np.clip((numbers - low) / max(high - low, 1e-12), 0, 1))
    painted[~known] = 0
    marks = np.linspace(low, high, 5)
    name = layers.bands[0]
    named = {f'{name} {mark:.3g}': to_hex(shades(at / 4)) for at, mark in enumerate(marks)}
    return painted, named


def write_preview(path: Path, seen: Look) -> None:
    """Draw image and map side by side.

    Raises:
        CacheError: If the disk refuses.
    """
    height, width = seen.map.shape[:2]
    pictures = {**seen.images, 'Map': seen.map}
    lines = math.ceil(len(seen.colours) / _COLUMNS)
    tall = 12 / len(pictures) * height / width + 0.75 + 0.25 * lines
    figure = Figure(figsize=(12, tall), layout='constrained')
    axes = figure.subplots(1, len(pictures))
    for axis, (title, picture) in zip(axes, pictures.items(), strict=True):
        axis.imshow(picture, interpolation='nearest')
        axis.set_title(title)
        axis.set_axis_off()
        _scale_bar(axis, seen, width, height)
    handles = [Patch(color=colour, label=name) for name, colour in seen.colours.items()]
    figure.legend(handles=handles, loc='outside lower center', ncols=_COLUMNS, frameon=False)
    figure.suptitle(seen.title)
    with replacing(path) as provisional:
        figure.savefig(provisional, dpi=120, format='png')


def bar_length(metres: float) -> float:
    """A round length, 1, 2 or 5 times a power of ten, of about a fifth of a width."""
    power = 10 ** math.floor(math.log10(metres / 5))
    return next(factor * power for factor in (5, 2, 1) if factor * power <= metres / 5)


def spelled(metres: float) -> str:
    """A length in m or km."""
    return f'{metres / 1000:g} km' if metres >= 1000 else f'{metres:g} m'


def _scale_bar(axis: Axes, seen: Look, width: int, height: int) -> None:
    length = bar_length(seen.metres)
    left, right, y = 0.03 * width, 0.03 * width + length / seen.metres * width, 0.96 * height
    for colour, thickness in (('black', 5), ('white', 2.5)):
        axis.plot([left, right], [y, y], color=colour, linewidth=thickness, solid_capstyle='butt')
    label = axis.text((left + right) / 2, 0.945 * height, spelled(length), color='white')
    label.set(
        ha='center',
        va='bottom',
        fontsize=9,
        path_effects=[withStroke(linewidth=2, foreground='black')],
    )
