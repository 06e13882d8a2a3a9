from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml
from rasterio.transform import from_origin

from torchgeo_geosane.cli import main
from torchgeo_geosane.describe import Described, describe
from torchgeo_geosane.describe.sensors import fitting
from torchgeo_geosane.describe.tables import Table
from torchgeo_geosane.errors import DataError

SCENE = Path(__file__).parents[1] / 'data' / 'sentinel2_landuse'
QUICKSTART = Path(__file__).parents[2] / 'examples' / 'quickstart.yaml'
CLASSES = ['farm', 'forest', 'grass', 'meadow', 'residential', 'scrub', 'water', 'wetland']
Capture = pytest.CaptureFixture[str]


def scene(**settings: object) -> dict[str, object]:
    labels = {'labels': str(SCENE / 'landuse.gpkg'), 'attribute': 'fclass', 'classes': CLASSES}
    return {'images': {'sentinel2_all': str(SCENE)}, **labels, **settings}


def table(found: Described, title: str) -> Table:
    (only,) = (each for each in found.tables if title in each.title)
    return only


def write(
    path: Path, bands: int = 4, descriptions: tuple[str, ...] = (), scale: int = 1000
) -> Path:
    values = np.random.default_rng(0).integers(1, 2 * scale, (bands, 60, 120)).astype(np.uint16)
    place = {'crs': 'EPSG:32633', 'transform': from_origin(330_000, 5_822_040, 10, 10)}
    size = {'width': 120, 'height': 60, 'count': bands, 'dtype': 'uint16'}
    with rasterio.open(path, 'w', driver='GTiff', **size, **place) as file:
        file.write(values)
        if descriptions:
            file.descriptions = descriptions
    return path


def test_bands_dates_and_grids_are_those_of_the_files(tmp_path: Path) -> None:
    found = describe(scene(), tmp_path / 'page.html')
    (image,) = table(found, '1 image').rows
    assert image[:2] == ('T33UUU_20170216T102101', '2017-02-16 10:21:01')
    assert image[3:8] == ('13', 'EPSG:32633', '192 x 96', '10, 20, 60', 'uint16')
    bands = table(found, 'bands').rows
    assert [row[0] for row in bands][:2] == ['B1', 'B2']
    order = [*(f'B{i:02}' for i in range(1, 9)), 'B8A', *(f'B{i:02}' for i in range(9, 13))]
    assert [row[2][-7:-4] for row in bands] == order
    # Band number i of the miniature holds 1000 (i + 1) plus up to 7.
    medians = [float(row[5].split()[1]) for row in bands]
    np.testing.assert_allclose(medians, 1000 * (np.arange(13) + 1), atol=8)


def test_labels_are_counted_as_rasterio_reads_them(tmp_path: Path) -> None:
    found = describe(scene(gap=0), tmp_path / 'page.html')
    labels = table(found, 'Labels')
    assert labels.header == ('index', 'class', 'train', 'val', 'test')
    counts = np.array([[int(cell.replace(',', '')) for cell in row[2:]] for row in labels.rows])
    # Half of the miniature has a label, in stripes of 12 rows; below the last one nothing is read.
    assert counts[:8].sum() == 192 * 48
    assert counts[8].sum() == 192 * 36
    assert counts.sum(axis=0).tolist() == [96 * 84, 32 * 84, 64 * 84]


def test_the_page_is_whole_and_needs_no_network(tmp_path: Path) -> None:
    found = describe(scene(), tmp_path / 'page.html')
    page = found.page.read_text()
    assert 'data:image/png;base64,' in page
    assert 'http' not in page
    for title in (each.title for each in found.tables):
        assert title in page
    assert not found.guesses
    assert 'Nothing was guessed' in page


def test_guesses_are_said(tmp_path: Path) -> None:
    path = write(tmp_path / 'image.tif')
    found = describe({'images': {'sentinel2_4': str(path)}}, tmp_path / 'page.html')
    assert any('band B2 guessed' in text for text in found.guesses)
    assert any('time of an image unknown' in text for text in found.guesses)
    assert 'class="guess"' in found.page.read_text()


def test_units_that_are_unlike_the_sensors_are_marked(tmp_path: Path) -> None:
    names = ('B2', 'B3', 'B4', 'B8')
    usual = write(tmp_path / 'usual.tif', descriptions=names)
    strange = write(tmp_path / 'strange.tif', descriptions=names, scale=32_000)
    for path, is_marked in ((usual, False), (strange, True)):
        found = describe({'images': {'sentinel2_4': str(path)}}, tmp_path / 'page.html')
        bands = table(found, 'bands')
        assert all(row[-1].endswith('(!)') == is_marked for row in bands.rows)
        assert ('Are the units right?' in bands.note) == is_marked


def test_what_is_not_read_is_listed(tmp_path: Path) -> None:
    write(tmp_path / 'image.tif', 5, ('B2', 'B3', 'B4', 'B8', 'SCL'))
    found = describe({'images': {'sentinel2_4': str(tmp_path)}}, tmp_path / 'page.html')
    (row,) = table(found, 'Not read').rows
    assert row[0] == 'image.tif'
    assert 'SCL' in row[1]


def test_the_likeliest_sensor_comes_first(tmp_path: Path) -> None:
    fits = fitting(str(SCENE))
    assert fits[0].sensor.name == 'sentinel2_all'
    assert fits[0].is_sure
    write(tmp_path / 'S1A_IW_GRDH.tif', 2, ('VV', 'VH'))
    assert fitting(str(tmp_path))[0].sensor.name == 'sentinel1_grd'


def test_files_of_no_sensor(tmp_path: Path) -> None:
    write(tmp_path / 'image.tif', 2, ('temperature', 'pressure'))
    with pytest.raises(DataError, match='fit none of the sensors'):
        fitting(str(tmp_path))


def test_command_of_a_config(tmp_path: Path, capsys: Capture) -> None:
    config = yaml.safe_load(QUICKSTART.read_text())
    config['data']['init_args'] |= scene()
    path = tmp_path / 'fit.yaml'
    path.write_text(yaml.safe_dump(config))
    page = tmp_path / 'page.html'
    assert main(['describe', f'--config={path}', f'--out={page}']) == 0
    said = capsys.readouterr().out
    assert 'nothing was guessed' in said
    assert 'T33UUU_20170216T102101' in said
    assert said.rstrip().endswith(str(page))
    assert page.exists()


def test_command_of_a_folder(tmp_path: Path, capsys: Capture) -> None:
    assert main(['describe', str(SCENE), f'--out={tmp_path / "page.html"}']) == 0
    assert 'the sensor is sentinel2_all' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ([], 'name either files'),
        (['{scene}', f'--config={QUICKSTART}'], 'name either files'),
        (['--config=nowhere.yaml'], 'cannot be read'),
        (['{folder}/nothing'], 'fit none of the sensors'),
    ],
)
def test_command_without_sense(
    arguments: list[str], message: str, tmp_path: Path, capsys: Capture
) -> None:
    given = [text.format(scene=SCENE, folder=tmp_path) for text in arguments]
    assert main(['describe', *given, f'--out={tmp_path / "page.html"}']) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
