"""Latents in two dimensions."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from torchgeo_geosane.atlas.latents import CollectionLatents
from torchgeo_geosane.errors import SpecError

Method = Literal['pca', 'umap']
_Projection = Callable[[Tensor], Tensor]


def project(latents: CollectionLatents, method: Method) -> dict[str, Tensor]:
    """Lay all points out on one map, fitted to windows and layers.

    Args:
        latents: Of the collection.
        method: ``pca``, the two directions of largest variance, or ``umap``, which keeps neighbours
            together (needs the extra ``map``).

    Returns:
        float32 ``[n, 2]`` for ``models``, ``layers`` and ``windows``.

    Raises:
        SpecError: If UMAP is asked for and not installed.
    """
    known = torch.cat([latents.layers.latents, latents.windows.latents])
    fitted = _fit_pca(known) if method == 'pca' else _fit_umap(known)
    return {
        'models': fitted(latents.models.latents),
        'layers': fitted(latents.layers.latents),
        'windows': fitted(latents.windows.latents),
    }


def _fit_pca(known: Tensor) -> _Projection:
    mean = known.mean(0)
    _, _, directions = torch.linalg.svd(known - mean, full_matrices=False)
    axes = directions[:2]
    # Of a direction and its opposite, always the same one.
    largest = axes.gather(1, axes.abs().argmax(1, keepdim=True))
    axes = axes * largest.sign()
    return lambda latents: (latents - mean) @ axes.T


def _fit_umap(known: Tensor) -> _Projection:
    try:
        import umap
    except ImportError as error:
        raise SpecError(
            "UMAP is not installed: pip install 'torchgeo-geosane[map]', or use --projection pca"
        ) from error
    mapper: Any = umap.UMAP(n_neighbors=min(15, len(known) - 1), random_state=0, n_jobs=1)
    mapper.fit(known.numpy())
    return lambda latents: torch.from_numpy(mapper.transform(latents.numpy())).float()
