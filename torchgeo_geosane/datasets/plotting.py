"""Figures of samples: an image beside its maps, or under its class."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import BoundaryNorm, ListedColormap, to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torchgeo.datasets import RGBBandsMissingError

UNLABELLED = '#bdbdbd'

# What maps are usually coloured like, by parts of names; the first that a name holds counts.
_USUAL = {
    '#4daaa5': ('wetland', 'marsh', 'swamp', 'bog', 'mangrove'),
    '#2b6cb0': ('water', 'river', 'lake', 'sea', 'ocean', 'flood'),
    '#1b7837': ('forest', 'tree', 'wood'),
    '#f2c14e': ('farm', 'crop', 'agri', 'field', 'arable'),
    '#4caf50': ('meadow', 'pasture'),
    '#a6d854': ('grass', 'savanna'),
    '#8a9a3b': ('scrub', 'shrub', 'heath'),
    '#d7301f': ('urban', 'built', 'residential', 'building', 'settlement', 'city'),
    '#c8a27a': ('bare', 'barren', 'rock', 'sand', 'soil'),
    '#e6f2fb': ('snow', 'ice', 'glacier'),
    '#6e016b': ('burn', 'fire'),
    '#d9d9d9': ('background', 'other', 'cloud'),
}


def class_colours(names: Sequence[str]) -> list[str]:
    """A colour for each class: the usual one of land covers, water blue say, else one of tab20.

    Those of tab20 are none that is near to another class's, while there are; then they repeat.
    """
    found: dict[int, str] = {}
    for at, name in enumerate(names):
        usual = (
            colour for colour, words in _USUAL.items() if any(w in name.lower() for w in words)
        )
        free = (colour for colour in usual if colour not in found.values())
        if colour := next(free, None):
            found[at] = colour
    others = [to_hex(colormaps['tab20'](at)) for at in range(20)]
    for at in range(len(names)):
        if at not in found:
            far = (colour for colour in others if all(_apart(colour, c) for c in found.values()))
            found[at] = next(far, None) or others[at % len(others)]
    return [found[at] for at in range(len(names))]


def _apart(one: str, other: str) -> bool:
    """Whether eyes tell two colours apart, for instance those of neighbours in tab20."""
    return bool(np.linalg.norm(np.subtract(to_rgb(one), to_rgb(other))) > 0.2)


def plot_segmentation(
    rgb: np.ndarray,
    maps: Mapping[str, np.ndarray],
    classes: Mapping[str, str],
    show_titles: bool = True,
    suptitle: str | None = None,
) -> Figure:
    """Draw an image and maps of class indices, with a legend.

    Args:
        rgb: Image in any units, [height, width, 3]; stretched between its 2nd and 98th percentiles.
        maps: Title to class indices, [height, width]; indices that are no class are grey.
        classes: Class name to colour, in the order of the class indices.
        show_titles: Whether to title the panels.
        suptitle: Title of the figure.

    Returns:
        A figure that no pyplot state refers to.
    """
    height, width = rgb.shape[:2]
    columns = 1 + len(maps)
    figure = Figure(figsize=(4 * columns, 4 * height / width + 0.9), layout='constrained')
    axes = figure.subplots(1, columns, squeeze=False)[0]
    axes[0].imshow(stretched(rgb))
    colours = ListedColormap([*classes.values(), UNLABELLED])
    norm = BoundaryNorm(np.arange(len(classes) + 2) - 0.5, colours.N)
    for axis, indices in zip(axes[1:], maps.values(), strict=True):
        shown = np.where((indices < 0) | (indices > len(classes)), len(classes), indices)
        axis.imshow(shown, cmap=colours, norm=norm, interpolation='nearest')
    for axis, title in zip(axes, ('Image', *maps), strict=True):
        axis.set_axis_off()
        if show_titles:
            axis.set_title(title)
    legend = {**classes, 'unlabelled': UNLABELLED}
    handles = [Patch(color=colour, label=name) for name, colour in legend.items()]
    figure.legend(handles=handles, loc='outside lower center', ncols=5, frameon=False)
    if suptitle is not None:
        figure.suptitle(suptitle)
    return figure


def plot_classification(
    rgb: np.ndarray,
    label: str,
    prediction: str | None = None,
    show_titles: bool = True,
    suptitle: str | None = None,
) -> Figure:
    """Draw an image, titled with its class.

    Args:
        rgb: Image in any units, [height, width, 3]; stretched between its 2nd and 98th percentiles.
        label: Name of the class.
        prediction: Name of the class predicted, or None.
        show_titles: Whether to title the image.
        suptitle: Title of the figure.

    Returns:
        A figure that no pyplot state refers to.
    """
    figure = Figure(figsize=(4, 4.5), layout='constrained')
    axis = figure.subplots()
    axis.imshow(stretched(rgb))
    axis.set_axis_off()
    if show_titles:
        predicted = '' if prediction is None else f'\nPrediction: {prediction}'
        axis.set_title(f'Label: {label}{predicted}')
    if suptitle is not None:
        figure.suptitle(suptitle)
    return figure


def composite(image: np.ndarray, bands: Sequence[str], rgb_bands: Sequence[str]) -> np.ndarray:
    """Three channels of an image to look at.

    Args:
        image: Any units, NaN where there is no data, [bands, height, width].
        bands: Names of its bands.
        rgb_bands: Bands shown as red, green and blue; without them VV, VH and their difference are.

    Returns:
        An image of shape [height, width, 3], without NaN.

    Raises:
        RGBBandsMissingError: If the image has neither.
    """
    channels = dict(zip(bands, image, strict=True))
    if set(rgb_bands) <= set(bands):
        shown = np.stack([channels[band] for band in rgb_bands], axis=-1)
    elif {'VV', 'VH'} <= set(bands):
        vv, vh = channels['VV'], channels['VH']
        shown = np.stack([vv, vh, vv - vh], axis=-1)
    else:
        raise RGBBandsMissingError
    missing = np.isnan(shown)
    return np.where(missing, np.where(missing, np.inf, shown).min(initial=0, axis=(0, 1)), shown)


def stretched(rgb: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
    """An image in any units between 0 and 1, stretched between its 2nd and 98th percentiles.

    Args:
        rgb: [height, width, 3].
        known: Which pixels count for them, [height, width]; None is all.
    """
    counted = rgb.reshape(-1, 3) if known is None or not known.any() else rgb[known]
    low, high = np.percentile(counted, (2, 98), axis=0)
    return np.clip((rgb - low) / np.maximum(high - low, 1e-6), 0, 1)
