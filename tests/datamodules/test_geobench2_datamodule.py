"""GEO-Bench-2: its bands are ours whether the package is here or not; where it is, miniatures are read."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from rasters import write_miniature
from torchgeo.trainers import ClassificationTask, SemanticSegmentationTask

from torchgeo_geosane.compare.geobench2 import benchmark_sets
from torchgeo_geosane.datamodules import GeoBench2DataModule
from torchgeo_geosane.datasets import GeoBench2
from torchgeo_geosane.datasets.geobench2_sets import GEOBENCH2, REFUSED, Look
from torchgeo_geosane.errors import DataError, SensorError
from torchgeo_geosane.sensors import get_sensor

LOOKS = [(name, look) for name, images in GEOBENCH2.items() for look in images.looks]
METRICS = {'classes': 'OA', 'labels': 'F1', 'mask': 'mIoU'}

each = pytest.mark.parametrize(('name', 'look'), LOOKS, ids=str)
each_set = pytest.mark.parametrize('name', GEOBENCH2)


@pytest.fixture
def package() -> object:
    return pytest.importorskip(
        'geobench_v2', reason='the extra "geobench" is not installed: CI installs it'
    )


@pytest.fixture
def written(package: object, tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: write_miniature('geobench2', tmp_path / name, benchmark_set=name)


@each
def test_every_band_is_one_of_the_sensors(name: str, look: str) -> None:
    seen = GEOBENCH2[name].looks[look]
    sensor = get_sensor(seen.sensor).select(seen.bands.values())
    assert list(sensor.band_names) == list(seen.bands.values())


def test_the_nineteen_sets_are_served_or_refused() -> None:
    assert {*GEOBENCH2} | {*REFUSED} == {*benchmark_sets()}
    assert not {*GEOBENCH2} & {*REFUSED}


@each_set
def test_the_metric_fits_the_labels(name: str) -> None:
    assert benchmark_sets()[name].metric == METRICS[GEOBENCH2[name].kind]


def test_metrics_are_those_of_the_packages_kinds_of_data(package: object) -> None:
    from geobench_v2 import datamodules, datasets

    kinds = {
        'GeoBenchClassificationDataModule': {'OA', 'F1'},
        'GeoBenchSegmentationDataModule': {'mIoU', 'RMSE'},
        'GeoBenchObjectDetectionDataModule': {'mAP'},
    }
    spellings = {'fotw': 'fieldsoftheworld', 'pastis_r': 'pastispanoptic'}
    by_name = {
        name.removeprefix('GeoBench').removesuffix('DataModule').lower(): getattr(datamodules, name)
        for name in dir(datamodules)
        if name.endswith('DataModule')
    }
    for name, known in benchmark_sets().items():
        module = by_name[spellings.get(name, name.replace('_', ''))]
        (kind,) = {base.__name__ for base in module.__mro__} & {*kinds}
        assert known.metric in kinds[kind], name
    for name, images in GEOBENCH2.items():
        maker = getattr(datasets, images.maker)
        assert getattr(maker, 'multilabel', False) == (benchmark_sets()[name].metric == 'F1')


@each
def test_bands_are_in_the_packages_order(package: object, name: str, look: str) -> None:
    from geobench_v2 import datasets
    from geobench_v2.datasets.sensor_util import SensorBandRegistry

    maker = getattr(datasets, GEOBENCH2[name].maker)
    seen: Look = GEOBENCH2[name].looks[look]
    config = maker.dataset_band_config.modalities[seen.modality or 'self']
    stated = list(config.default_order)
    # Of SpaceNet 7 the package has a near infrared that is 0 everywhere, and leaves it out by default.
    if name == 'spacenet7':
        assert maker.normalization_stats['means']['nir'] == 0
        stated.remove('nir')
    assert list(seen.bands) == stated
    assert {*seen.bands} <= {*maker.normalization_stats['means']}
    # Sentinel-2's wavelengths say that names are not mistaken, but for a band that both misplace.
    if seen.sensor == 'sentinel2_all' and name not in {'fotw', 'burn_scars'}:
        sensor = get_sensor(seen.sensor)
        for theirs, ours in seen.bands.items():
            micrometres = SensorBandRegistry.SENTINEL2.bands[theirs].wavelength
            assert sensor.band(ours).wavelength == pytest.approx(1000 * micrometres, abs=13)


@each
def test_samples_in_our_order(written: Callable[[str], Path], name: str, look: str) -> None:
    root = written(name)
    whole = GeoBench2(name, root, look=look)
    assert len(whole) == 4
    sample = whole[0]
    channels = sample['image'].flatten(1).min(1).values // 100
    assert channels.tolist() == list(range(1, len(whole.bands) + 1))
    turned = GeoBench2(name, root, look=look, bands=whole.bands[::-1])[0]
    assert torch.equal(turned['image'], sample['image'].flip(0))
    kind = GEOBENCH2[name].kind
    target = sample['mask' if kind == 'mask' else 'label']
    assert target.dtype == torch.int64
    shape = {'mask': (32, 32), 'labels': (len(whole.classes),), 'classes': ()}[kind]
    assert tuple(target.shape) == shape
    assert int(target.max()) < max(len(whole.classes), 2) + (name == 'burn_scars')
    names = {split: GeoBench2(name, root, split, look).name_of(0) for split in ('train', 'test')}
    assert len({*names.values()}) == 2


@pytest.mark.parametrize('name', ['burn_scars', 'so2sat', 'treesatai'])
@pytest.mark.filterwarnings('ignore')
def test_torchgeos_tasks_train_on_it(written: Callable[[str], Path], name: str) -> None:
    data = GeoBench2DataModule(name, written(name), batch_size=2, train_fraction=0.5)
    seen = len(data.bands)
    classes = len(GeoBench2(name, written(name)).classes)
    if name == 'burn_scars':
        task = SemanticSegmentationTask(
            'fcn', in_channels=seen, num_classes=classes, num_filters=4, ignore_index=2
        )
    else:
        task = ClassificationTask(
            'test_resnet',
            in_channels=seen,
            num_classes=classes,
            **(
                {'task': 'multilabel', 'loss': 'bce', 'num_labels': classes}
                if name == 'treesatai'
                else {}
            ),
        )
    trainer = Trainer(accelerator='cpu', fast_dev_run=1, logger=False, enable_progress_bar=False)
    trainer.fit(task, datamodule=data)
    (tested,) = trainer.test(task, datamodule=data, verbose=False)
    assert all(value == value for key, value in tested.items() if 'loss' in key)  # noqa: PLR0124
    assert get_sensor(data.sensor).band_names == tuple(data.bands)


@pytest.mark.filterwarnings('ignore')
def test_pixels_without_label_are_no_class(written: Callable[[str], Path]) -> None:
    data = GeoBench2DataModule('burn_scars', written('burn_scars'), batch_size=2)
    assert data.sensor == 'sentinel2_all[B2,B3,B4,B8A,B11,B12]'
    task = SemanticSegmentationTask('fcn', in_channels=5, num_classes=2, num_filters=4)
    with pytest.raises(DataError, match='set in_channels: 6'):
        Trainer(accelerator='cpu', fast_dev_run=1, logger=False).fit(task, datamodule=data)


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('m-eurosat', 'GEO-Bench v1, whose files hold pickles'),
        ('burn_scar', "did you mean 'burn_scars'"),
        ('pastis', 'its samples are time series'),
        ('nzcattle', 'its labels are objects'),
        ('caffe', 'no sensor of ours'),
    ],
)
def test_what_is_not_served(name: str, message: str) -> None:
    for make in (GeoBench2, GeoBench2DataModule):
        with pytest.raises(DataError, match=message):
            make(name)


def test_a_folder_of_the_first_version(tmp_path: Path) -> None:
    (tmp_path / 'm-forestnet').mkdir()
    (tmp_path / 'm-forestnet' / 'task_specs.pkl').write_bytes(b'never read')
    with pytest.raises(DataError, match='GEO-Bench v1'):
        GeoBench2('forestnet', tmp_path)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__('sys').modules, 'geobench_v2', None)
    with pytest.raises(DataError, match=r'pip install "torchgeo-geosane\[geobench\]"'):
        GeoBench2DataModule('so2sat')


def test_other_mistakes(written: Callable[[str], Path]) -> None:
    with pytest.raises(DataError, match="did you mean 'aerial'"):
        GeoBench2('treesatai', look='areal')
    with pytest.raises(DataError, match='unknown part'):
        GeoBench2('so2sat', split='validate')
    with pytest.raises(SensorError, match='unknown band'):
        GeoBench2('so2sat', written('so2sat'), bands=['B1'])
