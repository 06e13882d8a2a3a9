"""Maps as files: what they hold, on which grid; whole or not at all."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from fits import scene_of, scene_values, write_scene
from pyproj import Geod
from rasterio.transform import from_origin

from torchgeo_geosane.errors import CacheError, DataError
from torchgeo_geosane.predict.areas import PixelAreas
from torchgeo_geosane.predict.blending import Strip
from torchgeo_geosane.predict.layers import Layers, Legend, Stored
from torchgeo_geosane.predict.raster import writing


def strip(values: np.ndarray, known: np.ndarray) -> Strip:
    return Strip(0, torch.from_numpy(values).float(), torch.from_numpy(known))


def probabilities(
    channels: int, height: int = 30, width: int = 40
) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    values = generator.dirichlet(np.ones(channels), (height, width)).transpose(2, 0, 1)
    return values.astype(np.float32), generator.random((height, width)) > 0.3


def test_classes_have_the_labels_values() -> None:
    legend = Legend.of({'water': 80, 'trees': 10, 'urban': 50}, 'classes', 3)
    layers = Layers.of('classes', 3, legend)
    values, known = probabilities(3)
    encoded = layers.encode(strip(values, known))
    expected = np.array([80, 10, 50])[values.argmax(0)]
    assert encoded.dtype == np.uint8
    np.testing.assert_array_equal(encoded[0], np.where(known, expected, 255))


@pytest.mark.parametrize(
    ('classes', 'dtype', 'nodata'),
    [
        ([f'c{at}' for at in range(255)], 'uint8', 255),
        ([f'c{at}' for at in range(256)], 'uint16', 65535),
        ({'a': 1000, 'b': 2, 'c': 3}, 'uint16', 65535),
    ],
)
def test_many_classes_or_large_values_take_two_bytes(classes, dtype: str, nodata: int) -> None:
    layers = Layers.of('classes', len(classes), Legend.of(classes, 'classes', len(classes)))
    assert (layers.dtype, layers.nodata) == (dtype, nodata)
    values, known = probabilities(len(classes))
    encoded = layers.encode(strip(values, known))
    expected = np.array(layers.legend.values)[values.argmax(0)]
    np.testing.assert_array_equal(encoded[0], np.where(known, expected, nodata))


def test_one_number_tells_two_classes_apart() -> None:
    legend = Legend.of(['other', 'water'], 'binary', 1)
    values, known = probabilities(2)
    encoded = Layers.of('binary', 1, legend).encode(strip(values[:1], known))
    np.testing.assert_array_equal(encoded[0], np.where(known, values[0] > 0.5, 255))
    assert Layers.of('binary', 1, legend, 'uint8').bands == ('water',)


def test_probabilities_are_bytes_to_half_a_step() -> None:
    layers = Layers.of('classes', 3, Legend.of(['a', 'b', 'c'], 'classes', 3), 'uint8')
    values, known = probabilities(3)
    encoded = layers.encode(strip(values, known))
    assert layers.bands == ('a', 'b', 'c')
    assert (encoded[:, ~known] == 255).all()
    np.testing.assert_allclose(encoded[:, known] * layers.scale, values[:, known], atol=0.5 / 254)


@pytest.mark.parametrize('stored', ['float16', 'float32'])
def test_probabilities_are_floats_where_wanted(tmp_path: Path, stored: Stored) -> None:
    """A file of half floats is read as float32 by GDAL before 3.11, which keeps the values."""
    scene = scene_of(write_scene(tmp_path / 'scene.tif', scene_values(60, 70)))
    layers = Layers.of('classes', 3, Legend.of(['a', 'b', 'c'], 'classes', 3), stored)
    values, known = probabilities(3, 60, 70)
    path = tmp_path / 'map.tif'
    with writing(path, scene, layers, {}) as writer:
        writer.write(0, layers.encode(strip(values, known)))
    with rasterio.open(path) as file:
        assert file.descriptions == ('a', 'b', 'c')
        assert file.scales == (1, 1, 1)
        assert np.isnan(file.nodata)
        found, bits = file.read(), file.tags(1, ns='IMAGE_STRUCTURE').get('NBITS')
        assert (bits == '16' or file.dtypes[0] == 'float16') == (stored == 'float16')
    expected = np.where(known, values.astype(stored), np.nan)
    np.testing.assert_array_equal(found, expected.astype(np.float32))


def test_numbers_of_classes_must_agree() -> None:
    with pytest.raises(DataError, match=r'tells 3 classes apart, but the config names 2 \(a, b\)'):
        Legend.of(['a', 'b'], 'classes', 3)


def test_numbers_that_are_none_are_refused() -> None:
    values, known = probabilities(3)
    values[0, 5, 5] = np.nan
    with pytest.raises(DataError, match='another precision'):
        Layers.of('classes', 3, Legend.of([], 'classes', 3)).encode(strip(values, known))


def test_a_map_lies_on_its_scenes_grid_and_says_what_it_holds(tmp_path: Path) -> None:
    scene = scene_of(write_scene(tmp_path / 'scene_20200615.tif', scene_values(600, 700)))
    layers = Layers.of('classes', 3, Legend.of({'a': 1, 'b': 2, 'c': 3}, 'classes', 3))
    rows = np.random.default_rng(0).integers(1, 4, (1, 600, 700)).astype(np.uint8)
    path = tmp_path / 'maps' / 'map.tif'
    with writing(path, scene, layers, {'GEOSANE_WEIGHTS': 'geosane://x'}) as writer:
        for first in range(0, 600, 70):
            writer.write(first, rows[:, first : first + 70])
        assert not path.exists()
    with rasterio.open(tmp_path / 'scene_20200615.tif') as given, rasterio.open(path) as file:
        assert (file.crs, file.transform, file.shape) == (given.crs, given.transform, given.shape)
        assert file.tags(ns='IMAGE_STRUCTURE')['LAYOUT'] == 'COG'
        assert file.overviews(1)
        assert file.nodata == 255
        assert file.tags()['GEOSANE_WEIGHTS'] == 'geosane://x'
        assert file.tags(1) == {'class_1': 'a', 'class_2': 'b', 'class_3': 'c'}
        assert len({file.colormap(1)[value] for value in (1, 2, 3, 255)}) == 4
        np.testing.assert_array_equal(file.read(), rows)
    counts = np.bincount(rows.ravel())[1:]
    np.testing.assert_allclose(writer.areas, 100 * counts, rtol=2e-3)
    assert [each.name for each in path.parent.iterdir()] == ['map.tif']


def test_what_goes_wrong_leaves_the_old_map(tmp_path: Path) -> None:
    scene = scene_of(write_scene(tmp_path / 'scene.tif', scene_values(60, 70)))
    layers = Layers.of('values', 1, None)
    path = tmp_path / 'maps' / 'map.tif'
    path.parent.mkdir()
    path.write_text('old')

    def interrupted() -> None:
        with writing(path, scene, layers, {}) as writer:
            writer.write(0, np.zeros((1, 30, 70), np.float32))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == 'old'
    assert [each.name for each in path.parent.iterdir()] == ['map.tif']


_FILL = """
import resource, signal, sys
from pathlib import Path
import numpy as np
scene, path, *folders = sys.argv[1:]
sys.path[:0] = folders
from fits import scene_of
from torchgeo_geosane.predict.layers import Layers
from torchgeo_geosane.predict.raster import writing
scene = scene_of(Path(scene))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
rows = np.random.default_rng(0).normal(size=(1, 600, 700)).astype(np.float32)
with writing(Path(path), scene, Layers.of('values', 1, None), {}) as writer:
    writer.write(0, rows)
"""


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    scene = write_scene(tmp_path / 'scene.tif', scene_values(600, 700))
    path = tmp_path / 'maps' / 'map.tif'
    here = Path(__file__).parent
    command = [sys.executable, '-c', _FILL, *map(str, (scene, path, here.parent))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert 'CacheError: cannot write' in done.stderr, done.stderr
    assert 'is the disk full?' in done.stderr
    assert list(path.parent.iterdir()) == []


def test_leftovers_of_a_killed_process_are_cleared_away(tmp_path: Path) -> None:
    scene = scene_of(write_scene(tmp_path / 'scene.tif', scene_values(60, 70)))
    path = tmp_path / 'map.tif'
    dead = subprocess.Popen([sys.executable, '-c', ''])
    dead.wait()
    left = tmp_path / f'.map.tif.{dead.pid}.part'
    alive = tmp_path / f'.map.tif.{os.getppid()}.part'
    for folder in (left, alive):
        folder.mkdir()
        (folder / 'rows.tif').write_text('half')
    with writing(path, scene, Layers.of('values', 1, None), {}) as writer:
        writer.write(0, np.zeros((1, 60, 70), np.float32))
    assert path.exists()
    assert not left.exists()
    assert alive.exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    scene = scene_of(write_scene(tmp_path / 'scene.tif', scene_values(60, 70)))
    (tmp_path / 'file').write_text('')
    layers = Layers.of('values', 1, None)
    with (
        pytest.raises(CacheError, match='cannot write'),
        writing(tmp_path / 'file' / 'map.tif', scene, layers, {}),
    ):
        raise AssertionError


@pytest.mark.parametrize('crs', ['EPSG:4326', 'EPSG:3857', 'EPSG:32632', 'EPSG:3035', 'EPSG:3413'])
@pytest.mark.parametrize('latitude', [5.0, 52.0, 78.0])
def test_areas_are_those_of_the_ground(crs: str, latitude: float) -> None:
    """Against the ellipsoid: the box that the pixels cover, as a polygon with many corners."""
    from pyproj import Transformer

    there = Transformer.from_crs('EPSG:4326', crs, always_xy=True)
    x, y = there.transform(9.0, latitude)
    res = 9e-5 if crs == 'EPSG:4326' else 10.0
    transform = from_origin(x, y, res, res)
    areas = PixelAreas(rasterio.crs.CRS.from_string(crs), transform)
    height, width = 300, 1100
    found = areas.count(np.ones((height, width), np.uint8), 0, 1)
    edge = [(c, 0) for c in range(0, width, 10)] + [(width, r) for r in range(0, height, 10)]
    edge += [(c, height) for c in range(width, 0, -10)] + [(0, r) for r in range(height, 0, -10)]
    places = np.array([(x + c * res, y - r * res) for c, r in edge])
    longitudes, latitudes = there.transform(*places.T, direction='INVERSE')
    expected, _ = Geod(ellps='WGS84').polygon_area_perimeter(longitudes, latitudes)
    assert found[0] == 0
    assert found[1] == pytest.approx(abs(expected), rel=1e-5)
