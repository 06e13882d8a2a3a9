from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch

from torchgeo_geosane.errors import LocationError
from torchgeo_geosane.models import LocationEncoder
from torchgeo_geosane.tasks.location_map import write_location_map


def encoder() -> LocationEncoder:
    torch.manual_seed(0)
    return LocationEncoder(8, 8, 4)


def test_embeddings_of_a_grid(tmp_path: Path) -> None:
    made, path = encoder(), tmp_path / 'map.tif'
    write_location_map(path, made, bounds=(-20, 30, 40, 60), res=10)
    with rasterio.open(path) as file:
        assert (file.width, file.height, file.count) == (6, 3, 8)
        assert file.crs.to_epsg() == 4326
        x, y = file.xy(1, 4)
        expected = made(torch.tensor([[x, y]], dtype=torch.float64))[0].detach()
        np.testing.assert_allclose(file.read()[:, 1, 4], expected, atol=1e-6)


def test_heat_map_of_a_place(tmp_path: Path) -> None:
    made, path = encoder(), tmp_path / 'map.tif'
    like = made(torch.tensor([[15.0, 45.0]]))[0].detach()
    write_location_map(path, made, like, bounds=(-20, 30, 40, 60), res=10)
    with rasterio.open(path) as file:
        heat = file.read(1)
        assert file.count == 1
    assert np.unravel_index(heat.argmax(), heat.shape) == (1, 3)
    assert heat.max() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ('bounds', 'res'), [((0, 0, 0, 0), 1), ((-190, 0, 0, 10), 1), ((0, 0, 1, 1), 10)]
)
def test_no_part_of_the_globe(
    tmp_path: Path, bounds: tuple[float, float, float, float], res: float
) -> None:
    with pytest.raises(LocationError, match='no part of the globe'):
        write_location_map(tmp_path / 'map.tif', encoder(), bounds=bounds, res=res)
    assert not list(tmp_path.iterdir())
