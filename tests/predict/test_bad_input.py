"""What goes wrong on the way to a map, beside scenes and checkpoints: see ``test_run.py`` for these."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from fits import Fit, scene_values, write_scene
from pyproj import Transformer
from rasterio.transform import from_origin
from rasters import read_raster

from torchgeo_geosane import cli
from torchgeo_geosane.errors import DataError
from torchgeo_geosane.predict.mapping import Inference
from torchgeo_geosane.predict.raster import MapWriter
from torchgeo_geosane.predict.run import Request, predict


def field(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Reflectance x 10,000 in four bands, smooth over the ground: UTM 32 in, [4, rows, columns] out."""
    waves = [np.sin(x / a + phase) * np.cos(y / b) for a, b, phase in _WAVES]
    return (1500 + 1200 * np.stack(waves)).round().astype(np.uint16)


_WAVES = [(130, 170, 0.0), (190, 110, 1.0), (150, 230, 2.0), (210, 140, 3.0)]


def write_field(path: Path, crs: str, left: float, top: float, height: int, width: int) -> Path:
    """A scene of that ground on a grid of 10 m pixels of any UTM zone."""
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    to_here = Transformer.from_crs(crs, 'EPSG:32632', always_xy=True)
    values = field(*to_here.transform(left + 10 * columns, top - 10 * rows))
    return write_scene(path, values, crs=crs, transform=from_origin(left, top, 10, 10))


def test_a_mosaic_of_images_of_two_zones(fit: Fit, tmp_path: Path) -> None:
    """At 9 degrees east between the zones 31 and 32: the second image is warped to the first's grid."""
    left, top = 300_000.0, 5_800_000.0
    write_field(tmp_path / 'scenes' / 'a.tif', 'EPSG:32632', left, top, 120, 100)
    to_31 = Transformer.from_crs('EPSG:32632', 'EPSG:32631', always_xy=True)
    x, y = to_31.transform(left + 900, top + 200)
    write_field(tmp_path / 'scenes' / 'b.tif', 'EPSG:32631', round(x), round(y), 160, 140)
    inference = Inference(window=64, overlap=32)
    wanted = Request(fit.checkpoint, str(tmp_path / 'scenes'), tmp_path / 'map.tif')
    wanted = Request(**{**vars(wanted), 'mosaic': True, 'inference': inference})
    (outcome,) = predict(wanted)
    with rasterio.open(outcome.path) as file:
        assert file.crs.to_epsg() == 32632
        values, transform = file.read(1), file.transform
    assert (transform.a, transform.e) == (10, -10)
    # The first image is not resampled.
    assert ((transform.c - left) % 10, (transform.f - top) % 10) == (0, 0)
    height, width = values.shape
    assert width > 200
    write_field(tmp_path / 'whole.tif', 'EPSG:32632', transform.c, transform.f, height, width)
    whole = Request(fit.checkpoint, str(tmp_path / 'whole.tif'), tmp_path / 'other.tif')
    (expected,) = predict(Request(**{**vars(whole), 'inference': inference}))
    # Away from where there is nothing, which a network sees from six pixels' distance.
    known = values != 255
    inner = known.copy()
    for shift in range(-8, 9):
        inner &= np.roll(known, shift, 0) & np.roll(known, shift, 1)
    beyond_first = inner & (np.arange(width) * 10 + transform.c > left + 1100)
    assert beyond_first.sum() > 5000
    assert len(np.unique(values[beyond_first])) > 1
    differ = values != read_raster(expected.path)[0]
    assert differ[beyond_first].mean() < 0.03
    assert not known.all()


def test_ctrl_c_leaves_nothing_and_the_same_command_goes_on(
    fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scenes = tmp_path / 'scenes'
    for number in range(2):
        write_scene(scenes / f'scene{number}.tif', scene_values(150, 50, seed=number))
    arguments = ['--ckpt_path', fit.checkpoint, '--scene', scenes, '--out', tmp_path / 'maps']
    arguments = ['predict', *map(str, arguments)]
    write, calls = MapWriter.write, []

    def interrupted(writer: MapWriter, first: int, rows: np.ndarray) -> None:
        write(writer, first, rows)
        calls.append(first)
        if calls.count(0) == 2:  # The second map has begun.
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(MapWriter, 'write', interrupted)
    assert cli.main(arguments) == 130
    assert 'interrupted' in capsys.readouterr().err
    assert [path.name for path in (tmp_path / 'maps').iterdir()] == ['scene0.tif']
    monkeypatch.undo()
    assert cli.main(arguments) == 0
    said = capsys.readouterr().out
    assert 'scene0.tif: made before' in said
    assert 'scene1.tif: water ' in said


@pytest.mark.parametrize(
    'damage', [lambda path: path.write_bytes(b'II*\0'), lambda path: path.write_text('not a map')]
)
def test_an_existing_file_that_is_no_map_is_kept(
    fit: Fit, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    scene = write_scene(tmp_path / 'scene.tif', scene_values(40, 40))
    out = tmp_path / 'map.tif'
    damage(out)
    content = out.read_bytes()
    with pytest.raises(DataError, match='or replace it with --force'):
        predict(Request(fit.checkpoint, str(scene), out))
    assert out.read_bytes() == content
    predict(Request(fit.checkpoint, str(scene), out, force=True))
    assert read_raster(out).shape == (1, 40, 40)
