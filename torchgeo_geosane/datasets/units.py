"""What a digital number means: from what a file, its STAC item or its product says to a sensor's unit.

The user's own scale and offset come first; then the item's, then the file's tags; then what the
product's name and processing baseline imply. What nothing says is taken to be in the sensor's unit.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from rasterio.io import DatasetReader

from torchgeo_geosane.datasets.evidence import Evidence, How
from torchgeo_geosane.datasets.open_files import is_remote
from torchgeo_geosane.datasets.product_names import Named, products_of
from torchgeo_geosane.datasets.stac import StacAsset, StacBand
from torchgeo_geosane.sensors import Band

_OFFSET_SINCE = 400
_LOCAL_BASELINE = 9999  # Whoever runs Sen2Cor at home gets this, with or without the offset.
_JPEG2000 = {'JP2OpenJPEG', 'JP2KAK', 'JP2ECW', 'JP2MrSID', 'JP2Lura'}
_FIRST_DAY = '2022-01-26'
"""From this day on ESA's products are of baseline 04.00 or later."""

_BASELINE_TAGS = ('PROCESSING_BASELINE', 'S2:PROCESSING_BASELINE', 'PRODUCT_BASELINE')


@dataclass(frozen=True)
class Calibration:
    """From a band's digital numbers to its sensor's unit: number x scale + offset.

    Attributes:
        evidence: What says so.
        scale: Of the sensor's unit for one digital number.
        offset: Of the sensor's unit at number 0.
        blank: Number that the product keeps for no data, or None.
    """

    evidence: Evidence
    scale: float = 1.0
    offset: float = 0.0
    blank: float | None = None

    @property
    def is_identity(self) -> bool:
        """Whether numbers are in the sensor's unit already."""
        return self.scale == 1 and self.offset == 0


@dataclass(frozen=True)
class Physical:
    """Reflectance, kelvin or dB of a digital number: number x scale + offset.

    Attributes:
        scale: Of one digital number.
        offset: What is added after that.
        evidence: What says so.
        blank: Number that the product keeps for no data, or None.
    """

    scale: float
    offset: float
    evidence: Evidence
    blank: float | None = None

    def for_band(self, band: Band) -> Calibration:
        """The way to a band's unit; the band stands for something physical."""
        assert band.gain is not None
        scale = _plain(self.scale * band.gain)
        offset = _plain((self.offset - band.origin) * band.gain)
        return Calibration(self.evidence, scale, offset, self.blank)


def calibrations(
    path: str,
    file: DatasetReader,
    numbers: Sequence[int],
    bands: Sequence[Band],
    told: tuple[float | None, float | None] = (None, None),
    asset: StacAsset | None = None,
) -> tuple[Calibration, ...]:
    """How each band of a file comes into its sensor's unit.

    Args:
        path: The file.
        file: The open file.
        numbers: Its bands that are read.
        bands: Which bands of the sensor they are.
        told: The user's scale and offset.
        asset: What a STAC item says about it.
    """
    names = products_of(path)
    result = []
    for number, band in zip(numbers, bands, strict=True):
        if band.gain is None:
            result.append(_photograph(file, number, band, told))
            continue
        physical = (
            _told(told)
            or _by_item(asset, number)
            or _by_tags(file, number)
            or _by_product(path, file, number, names, asset)
        )
        result.append(
            physical.for_band(band) if physical else _unsaid(band, file.dtypes[number - 1], names)
        )
    return tuple(result)


def _photograph(
    file: DatasetReader, number: int, band: Band, told: tuple[float | None, float | None]
) -> Calibration:
    """Values of photographs and classes stand for nothing physical: only the user can scale them."""
    found = _told(told)
    if found is not None:
        return Calibration(found.evidence, found.scale, found.offset)
    return _unsaid(band, file.dtypes[number - 1], [])


def _unsaid(band: Band, dtype: str, names: Sequence[Named]) -> Calibration:
    if band.units == '8-bit' and dtype == 'uint8':
        return Calibration(Evidence(How.STATED, 'values of 8 bits'))
    title = next((named.product.title for named in names), '')
    whose = f'the name of {title} does not say' if title else 'nothing says'
    found = f'{whose} what a number means: taken as {band.units}'
    return Calibration(Evidence(How.UNKNOWN, found))


def _told(told: tuple[float | None, float | None]) -> Physical | None:
    scale, offset = told
    if scale is None and offset is None:
        return None
    return Physical(
        1.0 if scale is None else scale,
        offset or 0.0,
        Evidence(How.TOLD, 'you say scale and offset'),
    )


def _by_item(asset: StacAsset | None, number: int) -> Physical | None:
    if asset is None or number > len(asset.bands):
        return None
    band: StacBand = asset.bands[number - 1]
    if band.scale is None and band.offset is None:
        return None
    scale, offset = band.scale or 1.0, band.offset or 0.0
    text = f'the STAC item: scale {scale:g}, offset {offset:g}'
    if asset.offset_applied:
        # Catalogues go on stating the offset that they have undone.
        return Physical(scale, 0.0, Evidence(How.STATED, f'{text}, which is applied already'))
    baseline = _number(asset.baseline)
    if band.offset is None and baseline is not None and baseline >= _OFFSET_SINCE:
        return Physical(
            scale, -1000 * scale, Evidence(How.STATED, f'{text}, baseline {baseline}'), 0
        )
    return Physical(scale, offset, Evidence(How.STATED, text))


def _by_tags(file: DatasetReader, number: int) -> Physical | None:
    scale, offset = file.scales[number - 1], file.offsets[number - 1]
    if (scale, offset) == (1, 0) or scale == 0:
        return None
    text = f'the file: scale {scale:g}, offset {offset:g}'
    return Physical(scale, offset, Evidence(How.STATED, text))


def _by_product(
    path: str, file: DatasetReader, number: int, names: Sequence[Named], asset: StacAsset | None
) -> Physical | None:
    """What the product's definition says, if the file holds its numbers as they are delivered."""
    kind = np.dtype(file.dtypes[number - 1]) if 'complex' not in file.dtypes[number - 1] else None
    if kind is None or kind.kind not in 'iu' or kind.itemsize < 2:
        return None
    if asset is not None and asset.offset_applied:
        applied = Evidence(How.STATED, 'the STAC item: the offset is applied already')
        return Physical(1e-4, 0.0, applied, 0)
    found = _baseline(path, file, names, asset)
    if found is not None:
        baseline, evidence = found
        return Physical(1e-4, -0.1 if baseline >= _OFFSET_SINCE else 0.0, evidence, 0)
    for named in names:
        product = named.product
        # What is delivered states its value for no data; what was converted often does not.
        as_delivered = file.nodatavals[number - 1] is not None
        if product.scale is not None and as_delivered:
            evidence = Evidence(How.NAMED, f'{product.title}: scale {product.scale:g}')
            return Physical(product.scale, product.offset, evidence)
    return None


def _baseline(
    path: str, file: DatasetReader, names: Sequence[Named], asset: StacAsset | None
) -> tuple[int, Evidence] | None:
    """The processing baseline of a product of Sentinel-2: item, file, name, metadata, date."""
    own = next((one for one in names if one.product.title == 'Sentinel-2 image file'), None)
    for text, how, whose in _stated_baselines(path, file, names, asset, own is not None):
        number = _number(text)
        if number is not None:
            return number, Evidence(how, f'{whose}: baseline {number:04d}')
    if own is None or own.start is None or file.driver not in _JPEG2000:
        return None
    if str(own.start)[:10] < _FIRST_DAY:
        return None
    return _OFFSET_SINCE, Evidence(How.NAMED, f'as ESA delivers it, of {own.start.date()}')


def _stated_baselines(
    path: str,
    file: DatasetReader,
    names: Sequence[Named],
    asset: StacAsset | None,
    has_metadata: bool,
) -> Iterator[tuple[str, How, str]]:
    if asset is not None:
        yield asset.baseline, How.STATED, 'the STAC item'
    tags: Mapping[str, str] = {key.upper(): text for key, text in file.tags().items()}
    for tag in _BASELINE_TAGS:
        yield tags.get(tag, ''), How.STATED, 'the file'
    for named in names:
        yield named.groups.get('baseline', ''), How.NAMED, named.text
    if has_metadata and not is_remote(path):
        yield _metadata(str(Path(path).parent)), How.STATED, 'the metadata of the product'


def _number(baseline: str) -> int | None:
    digits = re.fullmatch(r'\s*N?(\d\d)\.?(\d\d)\s*', baseline)
    number = int(digits[1] + digits[2]) if digits else None
    return None if number == _LOCAL_BASELINE else number


@lru_cache(maxsize=4096)
def _metadata(folder: str) -> str:
    """The processing baseline that a product's own metadata, around a folder of it, states."""
    for above in [Path(folder), *Path(folder).parents][:6]:
        for path in sorted(above.glob('MTD_MSIL*.xml')):
            text = path.read_text(errors='replace')
            found = re.search(r'<PROCESSING_BASELINE>\s*([\d.]+)\s*<', text)
            if found is not None:
                return found[1]
    return ''


def _plain(value: float) -> float:
    """Without the last digits of decimal fractions: 0.0001 x 10000 is 1."""
    return float(f'{value:.12g}')
