"""Maps of change: two dates in, on one grid; what does not lie there is refused."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
import yaml
from affine import Affine
from fits import PATCH, STACK, UTM, Fit, network, scene_values, write_scene
from lightning.pytorch import Trainer
from rasterio.transform import from_origin
from rasters import read_raster
from torch.nn import functional as F
from torchgeo.datamodules import OSCDDataModule
from torchgeo.trainers import ChangeDetectionTask

from torchgeo_geosane import cli
from torchgeo_geosane.callbacks import WriteRaster
from torchgeo_geosane.datamodules import ImageryDataModule
from torchgeo_geosane.errors import DataError, GeoSANEError
from torchgeo_geosane.predict.finetuned import load
from torchgeo_geosane.predict.mapping import Inference
from torchgeo_geosane.predict.run import Request, predict
from torchgeo_geosane.sensors import get_sensor

ROOT = Path(__file__).parents[2]
CONTEXT = 16
SHAPE = (90, 130)


def write_change_fit(folder: Path, **arguments: object) -> Fit:
    """A checkpoint of a change detection, and a config that says what its images are."""
    arguments = {'model': 'fcn', 'in_channels': 4, 'num_filters': 8, **arguments}
    task = ChangeDetectionTask(**arguments)
    network(task)
    path = 'torchgeo.trainers.ChangeDetectionTask'
    data = {
        'class_path': 'torchgeo_geosane.datamodules.ImageryDataModule',
        'init_args': {'images': {STACK: 'none'}, 'patch_size': PATCH, 'batch_size': 4},
    }
    data['init_args']['classes'] = ['same', 'changed']
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / 'config.yaml'
    config.write_text(
        yaml.safe_dump({'model': {'class_path': path, 'init_args': arguments}, 'data': data})
    )
    parameters = {**task.hparams, '_class_path': path}
    checkpoint = folder / 'best.ckpt'
    torch.save({'state_dict': task.state_dict(), 'hyper_parameters': parameters}, checkpoint)
    return Fit(config, checkpoint)


@pytest.fixture(scope='module')
def change_fit(tmp_path_factory: pytest.TempPathFactory) -> Fit:
    return write_change_fit(tmp_path_factory.mktemp('change'))


@pytest.fixture(scope='module')
def dates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp('dates')
    before, after = scene_values(*SHAPE, seed=1), scene_values(*SHAPE, seed=2)
    before[:, 70:, 100:] = 0
    after[:, :20, :30] = 0
    return (
        write_scene(folder / 'before' / 'scene_20190701.tif', before),
        write_scene(folder / 'after' / 'scene_20210701.tif', after),
    )


def request(fit: Fit, dates: Sequence[object], out: Path, **options) -> Request:
    inference = Inference(window=64, overlap=32, **options.pop('inference', {}))
    before, after = (None if each is None else str(each) for each in dates)
    return Request(fit.checkpoint, before, out, after=after, inference=inference, **options)


def normalised(path: Path) -> torch.Tensor:
    sensor = get_sensor(STACK)
    mean, std = (np.array(each)[:, None, None] for each in (sensor.mean, sensor.std))
    return torch.from_numpy((read_raster(path).astype(np.float32) - mean) / std).float()


def expected_probability(fit: Fit, dates: Sequence[Path]) -> np.ndarray:
    """One look at both whole scenes, by plain torch; NaN where a date has no data."""
    images = torch.cat([normalised(path) for path in dates])[None]
    padded = F.pad(images, (CONTEXT,) * 4, mode='reflect')
    with torch.inference_mode():
        seen = load(fit.checkpoint).task.eval()(padded)[0, 0].sigmoid()
    known = np.all([(read_raster(path) != 0).any(axis=0) for path in dates], axis=0)
    return np.where(known, seen[CONTEXT:-CONTEXT, CONTEXT:-CONTEXT].numpy(), np.nan)


def test_the_map_is_that_of_one_look_at_both_dates(
    change_fit: Fit, dates: tuple[Path, Path], tmp_path: Path
) -> None:
    (outcome,) = predict(request(change_fit, dates, tmp_path / 'map.tif'))
    expected = expected_probability(change_fit, dates)
    classes = np.where(np.isnan(expected), 255, expected > 0.5)
    assert (read_raster(outcome.path)[0] != classes).mean() < 1e-3
    assert set(outcome.map.areas) == {'same', 'changed'}
    with rasterio.open(outcome.path) as file, rasterio.open(dates[0]) as scene:
        assert (file.transform, file.crs, file.shape) == (scene.transform, scene.crs, scene.shape)
        assert file.tags()['GEOSANE_SCENE'] == 'scene_20190701, scene_20210701'
        assert file.tags()['TIFFTAG_DATETIME'].startswith('2021:07:01')
    options = {'inference': {'probabilities': True}}
    (outcome,) = predict(request(change_fit, dates, tmp_path / 'share.tif', **options))
    with rasterio.open(outcome.path) as file:
        assert file.descriptions == ('changed',)
        assert file.dtypes == ('float32',)
        assert np.isnan(file.nodata)
        values = file.read(1)
    # NaN in the same places.
    np.testing.assert_allclose(values, expected, atol=1e-5)
    options = {'inference': {'probabilities': 'uint8'}}
    (outcome,) = predict(request(change_fit, dates, tmp_path / 'bytes.tif', **options))
    with rasterio.open(outcome.path) as file:
        assert file.dtypes == ('uint8',)
        values, known = file.read(1) * file.scales[0], file.dataset_mask() > 0
    np.testing.assert_array_equal(known, ~np.isnan(expected))
    assert np.abs(values - expected)[known].max() < 0.5 / 254 + 1e-5


@pytest.mark.parametrize('model', ['fcsiamdiff', 'unet'])
def test_models_that_see_dates_together_or_one_by_one(
    model: str, dates: tuple[Path, Path], tmp_path: Path
) -> None:
    fit = write_change_fit(tmp_path / 'fit', model=model, backbone='resnet18')
    (outcome,) = predict(request(fit, dates, tmp_path / 'map.tif'))
    assert set(np.unique(read_raster(outcome.path))) <= {0, 1, 255}


def test_the_command_shows_both_dates(
    change_fit: Fit, dates: tuple[Path, Path], tmp_path: Path
) -> None:
    out, preview, page = (tmp_path / f'map.{suffix}' for suffix in ('tif', 'png', 'html'))
    arguments = ['predict', '--ckpt_path', change_fit.checkpoint, '--scene', dates[0]]
    arguments += ['--after', dates[1], '--out', out, '--preview', preview, '--page', page]
    assert cli.main([*map(str, arguments)]) == 0
    assert preview.exists()
    text = page.read_text()
    assert text.count('data:image/png;base64,') == 3
    assert 'Before, 1 July 2019' in text
    assert 'After, 1 July 2021' in text


def test_folders_of_two_dates_are_paired_by_their_grids(change_fit: Fit, tmp_path: Path) -> None:
    """Names say nothing; an image reaches beyond its partner; one has none."""
    places = {'a': 600_000, 'b': 601_000, 'c': 605_000}
    for number, (name, x) in enumerate(places.items()):
        values = scene_values(40, 50, seed=number)
        place = from_origin(x, 5_800_020, 10, 10)
        write_scene(tmp_path / 'before' / f'{name}_20190701.tif', values, transform=place)
    for name, x in (('z', 600_000), ('y', 600_950)):
        values = scene_values(44, 60, seed=9)
        place = from_origin(x, 5_800_060, 10, 10)
        write_scene(tmp_path / 'after' / f'{name}_20210701.tif', values, transform=place)
    wanted = request(change_fit, (tmp_path / 'before', tmp_path / 'after'), tmp_path / 'maps')
    outcomes = {outcome.scene: outcome for outcome in predict(wanted)}
    assert 'no image of the second date' in outcomes['c_20190701'].error
    for name, partner in (('a', 'z'), ('b', 'y')):
        with rasterio.open(outcomes[f'{name}_20190701'].path) as file:
            assert file.tags()['GEOSANE_SCENE'].endswith(f'{partner}_20210701')
            assert file.shape == (40, 50)
            assert (file.read(1) != 255).all()
    assert [each.map for each in predict(wanted)] == [None] * 3


def test_stac_items_of_two_dates_are_paired_by_their_grids(change_fit: Fit, tmp_path: Path) -> None:
    """Each item finds the other date's on its grid, whatever the order of the items."""
    places = [from_origin(600_000 + 1000 * number, 5_800_020, 10, 10) for number in range(2)]
    for year, order in ((2019, (0, 1)), (2021, (1, 0))):
        items = []
        for tile in order:
            path = tmp_path / f'{year}' / f'tile{tile}.tif'
            write_scene(path, scene_values(*SHAPE, seed=tile + year), transform=places[tile])
            items.append(
                {
                    'type': 'Feature',
                    'stac_version': '1.0.0',
                    'id': f'tile{tile}_{year}',
                    'geometry': None,
                    'links': [],
                    'properties': {'datetime': f'{year}-07-01T00:00:00Z'},
                    'assets': {'all': {'href': f'{year}/{path.name}'}},
                }
            )
        (tmp_path / f'{year}.json').write_text(json.dumps(items))
    wanted = (tmp_path / '2019.json', tmp_path / '2021.json')
    outcomes = {each.scene: each for each in predict(request(change_fit, wanted, tmp_path / 'map'))}
    assert set(outcomes) == {'tile0_2019', 'tile1_2019'}
    for tile in range(2):
        files = [tmp_path / f'{year}' / f'tile{tile}.tif' for year in (2019, 2021)]
        path = outcomes[f'tile{tile}_2019'].path
        with rasterio.open(path) as file:
            assert file.tags()['GEOSANE_SCENE'] == f'tile{tile}_2019, tile{tile}_2021'
            assert file.tags()['TIFFTAG_DATETIME'].startswith('2021:07:01')
        expected = expected_probability(change_fit, files) > 0.5
        assert (read_raster(path)[0] != expected).mean() < 1e-3


def test_only_common_ground_has_data(change_fit: Fit, tmp_path: Path) -> None:
    before = write_scene(tmp_path / 'before_20190701.tif', scene_values(60, 80))
    east = from_origin(600_000 + 300, 5_800_020 + 200, 10, 10)
    after = write_scene(tmp_path / 'after_20210701.tif', scene_values(60, 80, 1), transform=east)
    (outcome,) = predict(request(change_fit, (before, after), tmp_path / 'map.tif'))
    known = read_raster(outcome.path)[0] != 255
    assert known[:40, 30:].all()
    assert known.sum() == 40 * 50


@pytest.mark.parametrize(
    'profile',
    [
        {'crs': 'EPSG:32633'},
        {'transform': from_origin(600_003, 5_800_020, 10, 10)},
        {'transform': from_origin(600_000, 5_800_020, 20, 20)},
        {'transform': from_origin(600_000, 5_800_020, 10.01, 10.01)},
        {'transform': from_origin(700_000, 5_800_020, 10, 10)},
        {'transform': Affine(10, 0, 600_000, 0, 10, 5_799_120)},
    ],
    ids=['crs', 'shifted', 'coarser', 'a little coarser', 'elsewhere', 'south-up'],
)
def test_other_grids_are_refused(
    change_fit: Fit, dates: tuple[Path, Path], tmp_path: Path, profile: dict
) -> None:
    after = write_scene(tmp_path / 'after_20210701.tif', scene_values(*SHAPE), **{**UTM, **profile})
    with pytest.raises(DataError, match=r'rio warp AFTER\.tif WARPED\.tif --like BEFORE\.tif'):
        predict(request(change_fit, (dates[0], after), tmp_path / 'map.tif'))
    assert not (tmp_path / 'map.tif').exists()


def test_what_contradicts_is_refused(
    fit: Fit, change_fit: Fit, dates: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / 'map.tif'
    with pytest.raises(DataError, match='name the files of the second by --after'):
        predict(request(change_fit, (dates[0], None), out))
    with pytest.raises(DataError, match='sees one date: leave out --after'):
        predict(request(fit, dates, out))
    fewer = write_scene(tmp_path / 'fewer.tif', scene_values(*SHAPE)[:3])
    with pytest.raises(GeoSANEError, match='holds 3 bands'):
        predict(request(change_fit, (dates[0], fewer), out))
    other_unit = (read_raster(dates[1]) / 10_000).astype(np.float32)
    fractions = write_scene(tmp_path / 'fractions.tif', other_unit)
    with pytest.raises(DataError, match='but the model was trained on'):
        predict(request(change_fit, (dates[0], fractions), out))
    for number in range(2):
        write_scene(tmp_path / 'twice' / f'scene{number}.tif', scene_values(*SHAPE, seed=number))
    with pytest.raises(DataError, match='name one of them'):
        predict(request(change_fit, (dates[0], tmp_path / 'twice'), out))
    module = ImageryDataModule({STACK: str(dates[0])}, patch_size=PATCH)
    trainer = Trainer(accelerator='cpu', logger=False, callbacks=[WriteRaster(tmp_path / 'maps')])
    with pytest.raises(DataError, match='--after … makes its maps'):
        trainer.predict(load(change_fit.checkpoint).task, datamodule=module)
    assert not out.exists()


def test_dates_in_the_wrong_order_are_said(
    change_fit: Fit, dates: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.warns(UserWarning, match='was taken before'):
        predict(request(change_fit, dates[::-1], tmp_path / 'map.tif'))


def test_mosaics_of_two_dates(change_fit: Fit, tmp_path: Path) -> None:
    for date, seed in (('20190701', 0), ('20210701', 5)):
        for number in range(2):
            place = from_origin(600_000 + 400 * number, 5_800_020, 10, 10)
            path = tmp_path / date / f'tile{number}_{date}.tif'
            write_scene(path, scene_values(40, 40, seed + number), transform=place)
    wanted = request(
        change_fit, (tmp_path / '20190701', tmp_path / '20210701'), tmp_path / 'map.tif'
    )
    (outcome,) = predict(replace(wanted, mosaic=True))
    values = read_raster(outcome.path)[0]
    assert values.shape == (40, 80)
    assert (values != 255).all()


def test_a_model_of_the_oscd_example_with_the_config_of_the_docs(tmp_path: Path) -> None:
    page = (ROOT / 'docs' / 'predict.md').read_text()
    text = next(each for each in page.split('```') if 'ChangeDetectionTask\n  init_args' in each)
    content = yaml.safe_load(text.removeprefix('yaml'))
    example = yaml.safe_load((ROOT / 'examples' / 'change_oscd.yaml').read_text())
    model = example['model']['init_args']
    task = ChangeDetectionTask(**{**model, 'weights': None})
    assert content['model']['init_args'].items() <= model.items()
    data, oscd = content['data']['init_args'], OSCDDataModule()
    np.testing.assert_allclose(data['mean'], oscd.mean, atol=0.1)
    np.testing.assert_allclose(data['std'], oscd.std, atol=0.1)
    assert data['patch_size'] == example['data']['init_args']['patch_size']
    (tmp_path / 'change.yaml').write_text(text.removeprefix('yaml'))
    torch.save({'state_dict': task.state_dict()}, tmp_path / 'best.ckpt')
    for number, name in enumerate(('before', 'after')):
        values = np.concatenate([scene_values(70, 90, 4 * number + at) for at in range(4)])[:13]
        write_scene(tmp_path / f'{name}.tif', values)
    arguments = ['--config', 'change.yaml', '--ckpt_path', 'best.ckpt', '--scene', 'before.tif']
    arguments += ['--after', 'after.tif', '--out', 'change.tif']
    arguments = [str(tmp_path / each) if '.' in each else each for each in arguments]
    assert cli.main(['predict', *arguments]) == 0
    assert read_raster(tmp_path / 'change.tif').shape == (1, 70, 90)
