"""Miniatures of the examples' data sets: a few tiny images, extracted as TorchGeo expects them.

Nothing is downloaded: TorchGeo finds the extracted folders, or, where it wants the archives beside
them, empty files of their names.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image
from rasterio.transform import from_origin
from rasters import write_miniature
from torchgeo.datasets import OSCD, VHR10, COWCCounting, MMFlood

SPLITS = ('train', 'val', 'test')
SIZE = 64

Array = np.ndarray[tuple[int, ...], np.dtype[np.generic]]


@dataclass(frozen=True)
class Miniature:
    """What it takes to run an example small.

    Attributes:
        write: Writes the data set into a folder.
        options: What else is other than in the example.
        root: The option that names the folder.
        file: Another option, and the file in the folder that it names.
    """

    write: Callable[[Path], None]
    options: tuple[str, ...] = ()
    root: str = '--data.dict_kwargs.root'
    file: tuple[str, str] | None = None


def write_land_use(root: Path) -> None:
    """The miniature of the quickstart's scene, which other tests have too."""
    shutil.copytree(
        Path(__file__).parents[1] / 'data' / 'sentinel2_landuse', root, dirs_exist_ok=True
    )


def write_eurosat(root: Path) -> None:
    write_miniature('eurosat', root)


def write_bigearthnet(root: Path) -> None:
    write_miniature('bigearthnet', root)


def write_solar_plants(root: Path) -> None:
    """Two images a split, with a plant in the middle."""
    for split in SPLITS:
        for number in range(2):
            image = reflectance(4, number).astype(np.float32)
            write_raster(root / split / 'input' / f'img({number}).tif', image)
            mask = square().astype(np.float32)[None]
            write_raster(root / split / 'labels' / f'target({number}).tif', mask)


def write_mmflood(root: Path) -> None:
    """A scene a split: linear backscatter, with water in the middle and a corner without data."""
    events = {f'EMSR{number:03}': split for number, split in enumerate(SPLITS)}
    for number, event in enumerate(events):
        water = square(96)
        noise = np.random.default_rng(number).gamma(4, 0.25, (2, 96, 96))
        land = noise * np.array([0.14, 0.03])[:, None, None]
        backscatter = np.where(water, land / 20, land).astype(np.float32)
        backscatter[:, :4, :4] = np.nan
        folder = root / MMFlood.metadata['directory'] / f'{event}-1'
        place = {'crs': 'EPSG:4326', 'transform': from_origin(10 * number, 45, 1e-4, 1e-4)}
        write_raster(folder / 's1_raw' / f'{event}-1-0.tif', backscatter, **place)
        write_raster(folder / 'mask' / f'{event}-1-0.tif', water.astype(np.uint8)[None], **place)
    subsets = {event: {'subset': split} for event, split in events.items()}
    write_json(root / MMFlood.metadata['metadata_file'], subsets)


def write_cowc(root: Path) -> None:
    """Photographs of 0 to 5 cars, which are bright spots."""
    for archive in COWCCounting.filenames:
        (root / archive).touch()
    for split, count in (('train', 6), ('test', 2)):
        rows = []
        for cars in range(count):
            photograph = colours(seed=cars)
            for car in range(cars):
                photograph[30:34, 10 * car : 10 * car + 6] = 240
            name = f'Toronto_ISPRS/{split}/{cars}.png'
            write_picture(root / name, photograph)
            rows.append(f'{name} {cars}\n')
        (root / COWCCounting.filename.format(split)).write_text(''.join(rows))


def write_oscd(root: Path) -> None:
    """Five cities to train on and one to test on, each at two dates."""
    prefix = 'Onera Satellite Change Detection dataset -'
    cities = {'train': ('abudhabi', 'bercy', 'cupertino', 'nantes', 'paris'), 'test': ('rio',)}
    for split, names in cities.items():
        for name in names:
            folder = root / f'{prefix} Images' / name
            for date in (1, 2):
                image = reflectance(13, seed=date)
                for band, pixels in zip(OSCD.all_bands, image, strict=True):
                    path = folder / f'imgs_{date}_rect' / f'{band}.tif'
                    write_raster(path, pixels[None])
            (folder / 'dates.txt').write_text('date_1: 20160101\ndate_2: 20180101\n')
            change = 255 * square().astype(np.uint8)
            write_picture(
                root / f'{prefix} {split.capitalize()} Labels' / name / 'cm/cm.png', change
            )


def write_vhr10(root: Path) -> None:
    """Ten photographs, each with one bright object."""
    (root / VHR10.image_meta['filename']).touch()
    folder = root / 'NWPU VHR-10 dataset'
    images, objects = [], []
    for number in range(10):
        photograph = colours(seed=number)
        left, top, size = 10, 4 * number, 20
        photograph[top : top + size, left : left + size] = 240
        file = f'{number + 1:03}.jpg'
        write_picture(folder / 'positive image set' / file, photograph)
        images.append({'id': number, 'file_name': file, 'height': SIZE, 'width': SIZE})
        right, bottom = left + size, top + size
        outline = [left, top, right, top, right, bottom, left, bottom]
        box = [left, top, size, size]
        kind = {'category_id': 1 + number % 10, 'area': size**2, 'iscrowd': 0}
        shape = {'bbox': box, 'segmentation': [outline]}
        objects.append({'id': number, 'image_id': number} | kind | shape)
    categories = [{'id': number, 'name': name} for number, name in enumerate(VHR10.categories)]
    annotations = {'images': images, 'annotations': objects, 'categories': categories}
    write_json(folder / VHR10.target_meta['filename'], annotations)


def reflectance(bands: int, seed: int, size: int = SIZE) -> Array:
    """Reflectance x 10,000, uint16, [bands, size, size]: a mean for each band, and texture."""
    random = np.random.default_rng(seed)
    means = random.uniform(500, 3000, (bands, 1, 1))
    return (means * random.normal(1, 0.1, (bands, size, size))).clip(1, 10_000).astype(np.uint16)


def colours(seed: int) -> Array:
    """A dull photograph, uint8, [size, size, 3]."""
    return np.random.default_rng(seed).integers(60, 120, (SIZE, SIZE, 3), dtype=np.uint8)


def square(size: int = SIZE) -> Array:
    """A square in the middle, bool, [size, size]."""
    inside = abs(np.arange(size) - size / 2) < size / 4
    return inside[:, None] & inside


def write_raster(path: Path, pixels: Array, **place: object) -> None:
    """Write [bands, height, width] as GeoTIFF, by default somewhere in Germany."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bands, height, width = pixels.shape
    place = place or {'crs': 'EPSG:32633', 'transform': from_origin(330_000, 5_822_040, 10, 10)}
    shape = {'count': bands, 'height': height, 'width': width, 'dtype': pixels.dtype}
    with rasterio.open(path, 'w', driver='GTiff', **shape, **place) as raster:
        raster.write(pixels)


def write_picture(path: Path, pixels: Array) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content))


_PATCHES = '--data.init_args.patch_size=64'
# The archives are empty files: their checksums are others.
_UNCHECKED = '--data.dict_kwargs.checksum=false'

MINIATURES = {
    'change_oscd': Miniature(write_oscd, (_PATCHES,)),
    'classification_bigearthnet': Miniature(write_bigearthnet),
    'classification_eurosat': Miniature(write_eurosat),
    'detection_vhr10': Miniature(write_vhr10, (_PATCHES, _UNCHECKED)),
    'quickstart': Miniature(
        write_land_use,
        ('--data.init_args.patch_size=32', '--data.init_args.length=4'),
        root='--data.init_args.images.sentinel2_all',
        file=('--data.init_args.labels', 'landuse.gpkg'),
    ),
    'regression_cowc': Miniature(write_cowc, (_UNCHECKED,)),
    'segmentation_mmflood': Miniature(write_mmflood, (_PATCHES, '--data.init_args.length=2')),
    'segmentation_solar_plants': Miniature(write_solar_plants, (_PATCHES,)),
    'ssl_eurosat': Miniature(write_eurosat),
}
"""By the example's name."""
