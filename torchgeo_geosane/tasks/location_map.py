"""What a location encoder makes of the Earth, as a GeoTIFF."""

from pathlib import Path

import numpy as np
import rasterio
import torch
import torch.nn.functional as F
from rasterio.transform import from_origin
from rasterio.windows import Window
from torch import Tensor, nn

from torchgeo_geosane.atomic import replacing
from torchgeo_geosane.errors import LocationError

_THE_EARTH = (-180.0, -90.0, 180.0, 90.0)


@torch.inference_mode()
def write_location_map(
    path: Path,
    encoder: nn.Module,
    like: Tensor | None = None,
    bounds: tuple[float, float, float, float] = _THE_EARTH,
    res: float = 1.0,
) -> None:
    """Embed a grid of places and write it, in EPSG:4326.

    Args:
        path: The file; replaced only once it is complete.
        encoder: From longitude and latitude, float ``[n, 2]``, to embeddings ``[n, width]``: a
            trained :class:`~torchgeo_geosane.models.location.LocationEncoder`, or TorchGeo's
            SatCLIP.
        like: An embedding, ``[width]``, of a photo or a place; the file then has one band, the
            cosine with it (a heat map). None writes one band for each number of an embedding.
        bounds: West, south, east and north, in degrees.
        res: Height and width of a pixel, in degrees.

    Raises:
        LocationError: If the bounds are empty or beyond the globe, or hold no pixel.
        CacheError: If the disk refuses.
    """
    west, south, east, north = bounds
    columns, rows = round((east - west) / res), round((north - south) / res)
    if columns < 1 or rows < 1 or west < -180 or east > 180 or south < -90 or north > 90:
        raise LocationError(
            f'{bounds} at {res} degrees is no part of the globe: give west, south, east and north '
            'in degrees, and a smaller res'
        )
    longitudes = west + (torch.arange(columns, dtype=torch.float64) + 0.5) * res
    device = next(encoder.parameters()).device
    first = encoder(torch.zeros(1, 2, dtype=torch.float64, device=device))
    bands = first.shape[1] if like is None else 1
    profile = {'crs': 'EPSG:4326', 'transform': from_origin(west, north, res, res)}
    size = {'width': columns, 'height': rows, 'count': bands, 'dtype': 'float32'}
    with (
        replacing(path) as provisional,
        rasterio.open(provisional, 'w', driver='GTiff', compress='deflate', **size, **profile) as f,
    ):
        for row in range(rows):
            latitude = torch.full_like(longitudes, north - (row + 0.5) * res)
            found = encoder(torch.stack([longitudes, latitude], dim=1).to(device)).float()
            if like is not None:
                found = F.cosine_similarity(found, like.to(found)[None], dim=1)[:, None]
            f.write(
                found.T.cpu().numpy().astype(np.float32)[:, None],
                window=Window(0, row, columns, 1),
            )
