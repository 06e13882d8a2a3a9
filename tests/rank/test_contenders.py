"""Which weights compete, and what is said of them."""

from pathlib import Path

import pytest
from toy_tiles import toy_fit

from torchgeo_geosane.rank import Wanted
from torchgeo_geosane.rank.contenders import BandUse, find_contenders
from torchgeo_geosane.rank.training_data import TrainingData, draw
from torchgeo_geosane.sensors import get_sensor

pytestmark = pytest.mark.filterwarnings('ignore')


@pytest.fixture(scope='module')
def data() -> TrainingData:
    """Training images of Sentinel-2's visible and near infrared bands, for a small ResNet."""
    return draw(toy_fit(length=8), batches=1, seed=0, sensor=None)


@pytest.mark.parametrize(
    ('source', 'target', 'expected'),
    [
        ('sentinel2_6', 'sentinel2_all', '6 copied, 7 adapted'),
        ('sentinel2_6', 'sentinel2_4', '4 copied'),
        ('rgb', 'sentinel1_grd', '2 averaged'),
        ('sentinel1_grd', 'sentinel2_4', '4 averaged'),
    ],
)
def test_what_becomes_of_bands(source: str, target: str, expected: str) -> None:
    assert str(BandUse.of(get_sensor(source).bands, get_sensor(target).bands)) == expected


def test_the_size_is_that_of_the_fits_own_backbone(data: TrainingData) -> None:
    """By default no more than twice; a number raises or lowers it."""
    assert data.architecture == 'test_resnet'
    found, _ = find_contenders(Wanted(), data)
    assert {each.spec.architecture for each in found} == {'test_resnet'}
    larger, _ = find_contenders(Wanted(max_parameters=2.5e7), data)
    assert {'tf_efficientnet_b4', 'resnet50', 'mobilenetv2_100'} <= {
        each.spec.architecture for each in larger
    }
    assert all(each.parameters <= 2.5e7 for each in larger)
    kinds = {each.kind for each in larger}
    assert kinds == {'prompt', 'average', 'generated', 'random'}
    assert larger == sorted(larger, key=lambda each: (each.parameters, each.spec.url))


def test_radar_does_not_compete_on_optical_images(data: TrainingData) -> None:
    found, _ = find_contenders(Wanted(architecture=('resnet50',), max_parameters=3e7), data)
    assert not [each for each in found if 'SENTINEL1' in each.name]
    assert [each for each in found if 'LANDSAT_OLI_SR_MOCO' in each.name]


def test_licences(data: TrainingData) -> None:
    wanted = Wanted(architecture=('mobilenetv2_100',), max_parameters=1e7, licence=('bsd*',))
    found, _ = find_contenders(wanted, data)
    names = [each.name for each in found]
    assert 'mobilenet:imagenet' in names
    assert 'mobilenet:reidentification' not in names
    assert all(each.kind == 'random' or each.licence.lower().startswith('bsd') for each in found)


def test_what_is_named_competes_whatever_its_size(data: TrainingData, tmp_path: Path) -> None:
    wanted = Wanted(names=('ukis:6b_l1c', 'GeoSANE_ResNet18_Weights.RGB'))
    found, skipped = find_contenders(wanted, data)
    specs = {each.name: each.spec for each in found}
    assert specs['ukis:6b_l1c'].architecture == 'tf_efficientnet_b4'
    assert {spec.sensor for spec in specs.values()} == {'sentinel2_4'}, 'of the data'
    assert not skipped
    assert len([each for each in found if each.kind == 'generated']) == 2
