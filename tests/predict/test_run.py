"""Scenes to maps, as a user asks for them."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
import yaml
from affine import Affine
from fits import BANDS, STACK, Fit, scene_values, write_fit, write_scene
from lightning.pytorch import LightningModule
from rasterio.transform import from_origin
from rasters import read_raster, truncate, write_raster
from torch.nn import functional as F
from torchgeo.trainers import ChangeDetectionTask, ClassificationTask

from torchgeo_geosane import cli
from torchgeo_geosane.errors import DataError, GeoSANEError
from torchgeo_geosane.predict.finetuned import load
from torchgeo_geosane.predict.mapping import Inference
from torchgeo_geosane.predict.run import Request, predict
from torchgeo_geosane.sensors import get_sensor

CONTEXT = 16


@pytest.fixture(scope='module')
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    values = scene_values(90, 130, seed=1)
    values[:, 70:, 100:] = 0
    return write_scene(tmp_path_factory.mktemp('scene') / 'scene_20210701.tif', values)


def at_once(fit: Fit, scene: Path) -> np.ndarray:
    """What a network answers to one look at the whole scene, by plain torch."""
    values = read_raster(scene).astype(np.float32)
    sensor = get_sensor(STACK)
    mean, std = (np.array(each)[:, None, None] for each in (sensor.mean, sensor.std))
    image = torch.from_numpy((values - mean) / std).float()
    task = load(fit.checkpoint).task.eval()
    padded = F.pad(image[None], (CONTEXT,) * 4, mode='reflect')
    with torch.inference_mode():
        return task(padded)[0, :, CONTEXT:-CONTEXT, CONTEXT:-CONTEXT].numpy()


def expected_map(fit: Fit, scene: Path) -> np.ndarray:
    """Classes by one look at the whole scene."""
    nothing = (read_raster(scene) == 0).all(axis=0)
    return np.where(nothing, 255, at_once(fit, scene).argmax(0) + 1)


def request(fit: Fit, scene: object, out: Path, **options) -> Request:
    inference = Inference(window=64, overlap=32, **options.pop('inference', {}))
    return Request(fit.checkpoint, scene, out, inference=inference, **options)


def test_the_map_is_that_of_one_look_at_the_whole(fit: Fit, scene: Path, tmp_path: Path) -> None:
    (outcome,) = predict(request(fit, str(scene), tmp_path / 'map.tif'))
    found, expected = read_raster(outcome.path)[0], expected_map(fit, scene)
    assert len(np.unique(expected)) == 4
    # The network sees six pixels far, windows share 32: but for rounding, nothing differs.
    assert (found != expected).mean() < 1e-3
    total = (found != 255).sum() * 100
    assert sum(outcome.map.areas.values()) == pytest.approx(total, rel=2e-3)


def test_the_command_writes_map_preview_and_page(
    fit: Fit, scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, preview, page = (tmp_path / f'map.{suffix}' for suffix in ('tif', 'png', 'html'))
    arguments = ['predict', '--config', fit.config, '--ckpt_path', fit.checkpoint, '--scene', scene]
    arguments += ['--out', out, '--preview', preview, '--page', page]
    assert cli.main([*map(str, arguments)]) == 0
    assert f'{out}: water ' in capsys.readouterr().out
    with rasterio.open(out) as file:
        tags = file.tags()
    assert tags['GEOSANE_CHECKPOINT'].startswith('best.ckpt sha256:')
    assert tags['TIFFTAG_DATETIME'].startswith('2021:07:01')
    text = page.read_text()
    assert preview.read_bytes().startswith(b'\x89PNG')
    for part in ('water', 'forest', 'urban', 'data:image/png;base64,', 'Image, 1 July 2021'):
        assert part in text
    for part in ('http://', 'https://', 'src="/', 'href='):
        assert part not in text
    assert cli.main([*map(str, arguments)]) == 2
    assert 'exists: choose another name, or replace it with --force' in capsys.readouterr().err
    assert cli.main([*map(str, arguments), '--force']) == 0


def test_flips_and_probabilities(fit: Fit, scene: Path, tmp_path: Path) -> None:
    options = {'inference': {'probabilities': True, 'flips': True}}
    (outcome,) = predict(request(fit, str(scene), tmp_path / 'map.tif', **options))
    with rasterio.open(outcome.path) as file:
        values, known = file.read() * np.array(file.scales)[:, None, None], file.dataset_mask() > 0
        assert file.descriptions == ('water', 'forest', 'urban')
    assert np.abs(values.sum(axis=0)[known] - 1).max() < 0.01
    plain = expected_map(fit, scene)
    assert ((values.argmax(axis=0) + 1) == plain)[known].mean() > 0.5
    np.testing.assert_array_equal(known, plain != 255)


def test_values_are_floats(scene: Path, tmp_path: Path) -> None:
    regression = write_fit(tmp_path, scene_values(64, 64), regression=True)
    (outcome,) = predict(request(regression, str(scene), tmp_path / 'map.tif'))
    with rasterio.open(outcome.path) as file:
        values = file.read(1)
        assert np.isnan(file.nodata)
        assert file.dtypes == ('float32',)
    expected = np.where((read_raster(scene) == 0).all(axis=0), np.nan, at_once(regression, scene))
    # NaN in the same places.
    np.testing.assert_allclose(values, expected[0], atol=1e-5)
    assert np.nanstd(expected) > 0.01


def test_the_command_says_as_what_probabilities_are_kept(
    fit: Fit, scene: Path, tmp_path: Path
) -> None:
    arguments = ['predict', '--ckpt_path', fit.checkpoint, '--scene', scene]
    arguments += ['--window', 64, '--overlap', 32]
    expected = at_once(fit, scene)
    shares = np.exp(expected) / np.exp(expected).sum(axis=0)
    found = {}
    for stored, option in (('uint8', []), ('float16', ['float16']), ('float32', ['float32'])):
        out = tmp_path / f'{stored}.tif'
        chosen = ['--out', out, '--preview', out.with_suffix('.png'), '--probabilities', *option]
        assert cli.main([*map(str, [*arguments, *chosen])]) == 0
        with rasterio.open(out) as file:
            known = file.dataset_mask() > 0
            values = file.read().astype(np.float32) * np.array(file.scales)[:, None, None]
            bits = file.tags(1, ns='IMAGE_STRUCTURE').get('NBITS')
            found[stored] = f'float{bits}' if bits else file.dtypes[0]
        np.testing.assert_allclose(
            values[:, known],
            shares[:, known],
            atol={'uint8': 0.5 / 254, 'float16': 2**-12, 'float32': 0}[stored] + 1e-5,
        )
    # How small a file gets is GDAL's affair: of 16 bits, it stores whatever lies beyond the edges.
    assert all(stored == kept for stored, kept in found.items()), found
    with pytest.raises(SystemExit):
        cli.main([*map(str, [*arguments, '--out', tmp_path / 'x.tif', '--probabilities=a'])])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three scenes, of which one is damaged."""
    for number in range(3):
        path = tmp_path / 'scenes' / f'scene_2021070{number}.tif'
        place = from_origin(600_000 + 400 * number, 5_800_020, 10, 10)
        write_scene(path, scene_values(40, 50, seed=number), transform=place, compress='deflate')
    truncate(tmp_path / 'scenes' / 'scene_20210701.tif', 0.05)
    return tmp_path / 'scenes'


@pytest.mark.parametrize('jobs', [1, 2])
def test_a_scene_that_fails_is_named_and_stops_no_other(
    fit: Fit, folder: Path, tmp_path: Path, jobs: int
) -> None:
    wanted = request(fit, str(folder), tmp_path / 'maps')
    outcomes = {outcome.scene: outcome for outcome in predict(wanted, jobs)}
    assert outcomes['scene_20210701'].error is not None
    assert sorted(path.name for path in (tmp_path / 'maps').iterdir()) == [
        'scene_20210700.tif',
        'scene_20210702.tif',
    ]
    again = {outcome.scene: outcome for outcome in predict(wanted, jobs)}
    assert [again[name].map for name in sorted(again)] == [None] * 3
    assert again['scene_20210700'].path == outcomes['scene_20210700'].path


def test_the_command_fails_where_a_scene_does(
    fit: Fit, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ['--ckpt_path', fit.checkpoint, '--scene', folder, '--out', tmp_path / 'maps']
    assert cli.main(['predict', *map(str, arguments)]) == 2
    said = capsys.readouterr()
    assert 'scene_20210701: FAILED: ' in said.out
    assert '1 of 3 scenes failed: scene_20210701' in said.err


def test_a_map_of_another_model_is_not_taken_for_done(
    fit: Fit, folder: Path, tmp_path: Path
) -> None:
    wanted = request(fit, str(folder), tmp_path / 'maps')
    predict(wanted)
    other = replace(wanted, inference=replace(wanted.inference, flips=True))
    outcomes = {outcome.scene: outcome for outcome in predict(other)}
    assert 'exists' in outcomes['scene_20210700'].error
    forced = predict(replace(other, force=True))
    assert sum(outcome.map is not None for outcome in forced) == 2


def test_a_mosaic_is_one_map_of_all(fit: Fit, folder: Path, tmp_path: Path) -> None:
    (folder / 'scene_20210701.tif').unlink()
    wanted = request(fit, str(folder), tmp_path / 'map.tif', mosaic=True)
    (outcome,) = predict(wanted)
    with rasterio.open(outcome.path) as file:
        assert file.shape == (40, 130)
        values = file.read(1)
    assert (values[:, 50:80] == 255).all()
    assert (values[:, :50] != 255).all()
    assert (values[:, 80:] != 255).all()


def test_several_scenes_do_not_fit_into_one_file(fit: Fit, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match='name a folder, or make one map of all with --mosaic'):
        predict(request(fit, str(folder), tmp_path / 'map.tif'))


@pytest.mark.parametrize('name', ['map.jp2', 'map.png', 'map.tif.gz'])
def test_other_formats_are_refused(fit: Fit, scene: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r'let it end in \.tif, or name a folder'):
        predict(request(fit, str(scene), tmp_path / name))
    assert not (tmp_path / name).exists()


def test_stac_items(fit: Fit, folder: Path, tmp_path: Path) -> None:
    items = [
        {
            'type': 'Feature',
            'stac_version': '1.0.0',
            'id': f'item{number}',
            'geometry': None,
            'links': [],
            'properties': {'datetime': f'2021-07-0{number + 1}T00:00:00Z'},
            'assets': {'all': {'href': f'scenes/scene_2021070{number}.tif'}},
        }
        for number in range(3)
    ]
    path = tmp_path / 'items.json'
    path.write_text(json.dumps(items))
    outcomes = {each.scene: each for each in predict(request(fit, str(path), tmp_path / 'maps'))}
    assert outcomes['item1'].error is not None
    assert outcomes['item0'].path == tmp_path / 'maps' / 'item0.tif'


Change = Callable[[Path, Path], Path]


def without_place(scene: Path, folder: Path) -> Path:
    path = folder / 'scene.tif'
    write_raster(path, read_raster(scene))
    return path


def other_bands(scene: Path, folder: Path) -> Path:
    return write_scene(folder / 'scene.tif', read_raster(scene)[:3])


def fractions(scene: Path, folder: Path) -> Path:
    values = (read_raster(scene) / 10_000).astype(np.float32)
    return write_scene(folder / 'scene.tif', values)


def photograph(scene: Path, folder: Path) -> Path:
    return write_scene(folder / 'scene.tif', read_raster(scene).astype(np.float32) * 100)


def nothing(scene: Path, folder: Path) -> Path:
    return write_scene(folder / 'scene.tif', np.zeros((4, 70, 70), np.uint16))


def missing(scene: Path, folder: Path) -> Path:
    return folder / 'no such scene.tif'


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (without_place, 'no georeference'),
        (other_bands, 'holds 3 bands'),
        (fractions, 'but the model was trained on'),
        (photograph, 'but the model was trained on'),
        (nothing, 'holds no data'),
        (missing, 'does not exist'),
    ],
)
def test_bad_scenes(fit: Fit, scene: Path, tmp_path: Path, change: Change, message: str) -> None:
    path = change(scene, tmp_path / 'bad')
    with pytest.raises(GeoSANEError, match=message):
        predict(request(fit, str(path), tmp_path / 'maps' / 'map.tif'))
    assert not (tmp_path / 'maps').exists() or not list((tmp_path / 'maps').iterdir())


def test_a_scene_smaller_than_a_window(fit: Fit, tmp_path: Path) -> None:
    values = scene_values(7, 11)
    path = write_scene(tmp_path / 'scene.tif', values)
    (outcome,) = predict(request(fit, str(path), tmp_path / 'map.tif'))
    found = read_raster(outcome.path)[0]
    assert found.shape == (7, 11)
    assert (found != 255).all()


def changed(fit: Fit, folder: Path, change: Callable[[dict], None]) -> Fit:
    """The same checkpoint under a changed config."""
    shutil.copytree(fit.config.parent, folder)
    content = yaml.safe_load(fit.config.read_text())
    change(content)
    (folder / 'config.yaml').write_text(yaml.safe_dump(content, sort_keys=False))
    return Fit(folder / 'config.yaml', folder / 'checkpoints' / 'best.ckpt')


@pytest.mark.parametrize(
    ('keys', 'value', 'message'),
    [
        (('model', 'class_path'), 'torchgeo.trainers.GoneTask', 'cannot be built'),
        (
            ('model', 'class_path'),
            'torchgeo.trainers.PixelwiseRegressionTask',
            'does not fit|built',
        ),
        (('model', 'init_args', 'num_classes'), 5, 'does not fit'),
        (('model', 'init_args', 'num_filters'), 9, 'does not fit'),
        (('data', 'init_args', 'classes'), ['a', 'b'], 'names 2'),
        (('data', 'init_args', 'bands'), ['B2', 'B3', 'B4'], 'sees 4 channels'),
        (('data', 'class_path'), 'torchgeo.datamodules.EuroSATDataModule', 'built|EuroSAT'),
        (('data',), None, 'not the config of a fit'),
    ],
)
def test_configs_that_contradict(
    fit: Fit, scene: Path, tmp_path: Path, keys: tuple[str, ...], value, message: str
) -> None:
    def change(content: dict) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    other = changed(fit, tmp_path / 'fit', change)
    with pytest.raises(DataError, match=message):
        predict(request(other, str(scene), tmp_path / 'map.tif'))
    assert not (tmp_path / 'map.tif').exists()


@pytest.mark.parametrize(
    ('task', 'message'),
    [
        (
            ClassificationTask('test_resnet', in_channels=4, num_classes=3),
            r'with \[3\]: a map wants',
        ),
        (ChangeDetectionTask('unet', 'resnet18', in_channels=4), 'compares two dates'),
    ],
    ids=['classification', 'change'],
)
def test_tasks_that_make_no_map(
    fit: Fit, scene: Path, tmp_path: Path, task: LightningModule, message: str
) -> None:
    name = type(task).__name__
    other = changed(
        fit,
        tmp_path / 'fit',
        lambda content: content.update(
            model={'class_path': f'torchgeo.trainers.{name}', 'init_args': dict(task.hparams)}
        ),
    )
    torch.save({'state_dict': task.state_dict()}, other.checkpoint)
    with pytest.raises(DataError, match=message):
        predict(request(other, str(scene), tmp_path / 'map.tif'))


@pytest.mark.parametrize(
    ('write', 'message'),
    [
        (lambda path: path.unlink(), 'no such checkpoint'),
        (truncate, 'not a readable checkpoint'),
        (lambda path: torch.save({'weights': torch.ones(3)}, path), 'no state_dict'),
        (lambda path: path.write_text('text'), 'not a readable checkpoint'),
    ],
)
def test_bad_checkpoints(
    fit: Fit, scene: Path, tmp_path: Path, write: Callable[[Path], None], message: str
) -> None:
    other = changed(fit, tmp_path / 'fit', lambda content: None)
    write(other.checkpoint)
    with pytest.raises(DataError, match=message):
        predict(request(other, str(scene), tmp_path / 'map.tif'))


def test_what_a_checkpoint_keeps_of_its_data_counts(fit: Fit, scene: Path, tmp_path: Path) -> None:
    """Statistics of the training are the checkpoint's; other bands than its are refused."""
    other = changed(fit, tmp_path / 'fit', lambda content: None)
    content = torch.load(other.checkpoint)
    sensor = get_sensor(STACK)
    kept = {'bands': list(BANDS), 'classes': [], 'mean': sensor.mean, 'std': sensor.std}
    kept['mean'] = [value + 500 for value in sensor.mean]
    torch.save({**content, 'ImageryDataModule': kept}, other.checkpoint)
    (shifted,) = predict(request(other, str(scene), tmp_path / 'shifted.tif'))
    (plain,) = predict(request(fit, str(scene), tmp_path / 'plain.tif'))
    assert (read_raster(shifted.path) != read_raster(plain.path)).any()
    torch.save(
        {**content, 'ImageryDataModule': {**kept, 'classes': ['forest', 'water', 'urban']}},
        other.checkpoint,
    )
    with pytest.raises(DataError, match='trained on the classes forest, water, urban, but'):
        predict(request(other, str(scene), tmp_path / 'map.tif'))
    kept['bands'] = ['B2', 'B3', 'B4', 'B5']
    torch.save({**content, 'ImageryDataModule': kept}, other.checkpoint)
    with pytest.raises(DataError, match='trained on the bands B2, B3, B4, B5'):
        predict(request(other, str(scene), tmp_path / 'map.tif'))


def test_without_a_config_the_one_beside_the_checkpoint_is_read(
    fit: Fit, scene: Path, tmp_path: Path
) -> None:
    alone = tmp_path / 'best.ckpt'
    shutil.copy(fit.checkpoint, alone)
    with pytest.raises(DataError, match='name the config of its fit'):
        predict(Request(alone, str(scene), tmp_path / 'map.tif'))
    (outcome,) = predict(Request(alone, str(scene), tmp_path / 'map.tif', config=fit.config))
    assert outcome.path.exists()


@pytest.mark.parametrize(
    'place',
    [
        Affine(10, 0, 600_000, 0, 10, 5_800_020),
        Affine(0, 10, 600_000, 10, 0, 5_800_020),
        Affine(-10, 0, 600_000, 0, 10, 5_800_020),
        Affine.translation(600_000, 5_800_020) @ Affine.rotation(-25) @ Affine.scale(10, -10),
    ],
    ids=['south-up', 'transposed', 'turned by a half', 'rotated'],
)
def test_a_scene_keeps_its_grid_whichever_way_it_lies(
    fit: Fit, scene: Path, tmp_path: Path, place: Affine
) -> None:
    turned = write_scene(tmp_path / 'scene.tif', read_raster(scene), transform=place)
    page = tmp_path / 'map.html'
    (outcome,) = predict(request(fit, str(turned), tmp_path / 'map.tif', page=page))
    with rasterio.open(outcome.path) as file:
        assert file.transform.almost_equals(place)
        assert (file.read(1) != expected_map(fit, scene)).mean() < 1e-3
    assert page.exists()
