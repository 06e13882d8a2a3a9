"""The figure of a segmentation: image, label and prediction beside each other."""

from collections.abc import Mapping

import numpy as np
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

UNLABELLED = '#bdbdbd'


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
        maps: Title to class indices, [height, width]; indices beyond the classes are grey.
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
    low, high = np.percentile(rgb, (2, 98), axis=(0, 1))
    axes[0].imshow(np.clip((rgb - low) / np.maximum(high - low, 1e-6), 0, 1))
    colours = ListedColormap([*classes.values(), UNLABELLED])
    norm = BoundaryNorm(np.arange(len(classes) + 2) - 0.5, colours.N)
    for axis, indices in zip(axes[1:], maps.values(), strict=True):
        shown = np.minimum(indices, len(classes))
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
