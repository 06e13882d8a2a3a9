"""The map as a picture, and as a page to look around in."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from torch import Tensor

from torchgeo_geosane.atlas.insight import Probed, find_nearest
from torchgeo_geosane.atlas.latents import CollectionLatents, Points
from torchgeo_geosane.pages import render_page

_TEMPLATE = Path(__file__).with_name('map.html.jinja')
# Okabe and Ito's: told apart with every kind of colour vision, on white and on black.
_COLOURS = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9')
_OTHER = '#888888'
_SIZE = 640  # Of the page's map, in its own units.
_RADII = {'windows': 2.5, 'layers': 2.5, 'models': 7.0}


@dataclass(frozen=True)
class Colouring:
    """One way to colour the points.

    Attributes:
        what: The property that is shown.
        legend: Colour of each class; of depths, of both ends.
        fills: Colour of every point, at each scale.
    """

    what: str
    legend: Mapping[str, str]
    fills: Mapping[str, Sequence[str]]


def colourings(latents: CollectionLatents) -> list[Colouring]:
    """By architecture, by modality and by depth."""
    scales = _scales(latents)
    found = []
    for what in ('architecture', 'modality'):
        labels = [getattr(entry, what) or 'unknown' for entry in latents.entries]
        legend = _legend(labels)
        of_model = [legend.get(label, _OTHER) for label in labels]
        fills = {name: [of_model[i] for i in points.models] for name, points in scales.items()}
        found.append(Colouring(what, legend, fills))
    viridis = colormaps['viridis']
    fills = {
        name: [_OTHER if name == 'models' else to_hex(viridis(depth)) for depth in points.depths]
        for name, points in scales.items()
    }
    legend = {name: to_hex(viridis(at)) for name, at in (('input', 0.0), ('output', 1.0))}
    return [*found, Colouring('depth', legend, fills)]


def draw_picture(latents: CollectionLatents, places: Mapping[str, Tensor]) -> bytes:
    """The map as a PNG: windows as dots and models as diamonds, in each colouring."""
    each = colourings(latents)
    figure = Figure(figsize=(3.6 * len(each), 4.2), layout='constrained', facecolor='white')
    for axes, colouring in zip(figure.subplots(1, len(each)), each, strict=True):
        _draw_panel(axes, places, colouring)
    written = io.BytesIO()
    figure.savefig(written, format='png', dpi=110, metadata={'Software': None})
    return written.getvalue()


def draw_page(
    latents: CollectionLatents,
    places: Mapping[str, Tensor],
    probed: Sequence[Probed],
    foundry: str,
) -> str:
    """The map as one HTML file that needs nothing else: points tell their names, colours change."""
    each = colourings(latents)
    neighbours = {
        entry.name: find_nearest(latents, entry.name)[:3] if len(latents.entries) > 1 else []
        for entry in latents.entries
    }
    return render_page(
        _TEMPLATE,
        foundry=foundry,
        size=_SIZE,
        entries=latents.entries,
        colourings=each,
        scales={
            name: _circles(latents, points, name, places, each)
            for name, points in _scales(latents).items()
        },
        neighbours=neighbours,
        probed=probed,
    )


@dataclass(frozen=True)
class _Circle:
    x: float
    y: float
    radius: float
    title: str
    fills: str


def _circles(
    latents: CollectionLatents,
    points: Points,
    scale: str,
    places: Mapping[str, Tensor],
    each: Sequence[Colouring],
) -> list[_Circle]:
    everything = np.concatenate([place.numpy() for place in places.values()])
    low, extent = everything.min(0), np.maximum(np.ptp(everything, axis=0), 1e-12)
    shares = (places[scale].numpy() - low) / extent
    circles = []
    for i, (x, y) in enumerate(shares):
        circles.append(
            _Circle(
                x=round(20 + float(x) * (_SIZE - 40), 1),
                y=round(20 + float(1 - y) * (_SIZE - 40), 1),
                radius=_RADII[scale],
                title=f'{latents.entries[points.models[i]].name}: {points.names[i]}',
                fills=' '.join(colouring.fills[scale][i] for colouring in each),
            )
        )
    return circles


def _draw_panel(axes: Axes, places: Mapping[str, Tensor], colouring: Colouring) -> None:
    for scale, marker, size, edge in (('windows', 'o', 9, 'none'), ('models', 'D', 55, 'black')):
        x, y = places[scale].numpy().T
        axes.scatter(
            x, y, size, colouring.fills[scale], marker=marker, edgecolors=edge, linewidths=0.8
        )
    for label, colour in colouring.legend.items():
        axes.scatter([], [], 20, colour, label=label)
    axes.set_title(f'by {colouring.what}', fontsize=10)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.legend(loc='upper center', bbox_to_anchor=(0.5, 0), fontsize=8, frameon=False)


def _legend(labels: Sequence[str]) -> dict[str, str]:
    """A colour for each of the most frequent labels, and one for all others."""
    frequent = sorted(dict.fromkeys(labels), key=lambda label: -labels.count(label))
    legend = dict(zip(frequent, _COLOURS, strict=False))
    return legend | ({'others': _OTHER} if len(frequent) > len(_COLOURS) else {})


def _scales(latents: CollectionLatents) -> dict[str, Points]:
    """Points by scale, in the order of drawing."""
    return {'windows': latents.windows, 'layers': latents.layers, 'models': latents.models}
