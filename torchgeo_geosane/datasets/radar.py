"""What radar files hold: dB, linear power, amplitude or complex numbers."""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from rasterio.io import DatasetReader

from torchgeo_geosane.datasets.band_statements import FileBand
from torchgeo_geosane.datasets.evidence import Evidence, How
from torchgeo_geosane.datasets.product import Radar
from torchgeo_geosane.datasets.product_names import products_of
from torchgeo_geosane.datasets.stac import StacAsset
from torchgeo_geosane.errors import DataError, did_you_mean
from torchgeo_geosane.sensors.spelling import words

_DB = {'db', 'decibel', 'decibels'}
_AMPLITUDE = {'amplitude', 'amp'}
_POWER = {'linear', 'power', 'intensity', 'pwr'}
# SNAP writes _db behind these where they are dB.
_CALIBRATED = {'sigma0', 'gamma0', 'beta0'}
_COLLECTIONS: dict[str, Radar] = {
    'sentinel-1-rtc': 'linear',
    'opera-rtc-s1': 'linear',
    'sentinel-1-grd': 'amplitude',
}


def radar_values(
    path: str,
    file: DatasetReader,
    bands: Sequence[FileBand],
    asked: Radar | None,
    asset: StacAsset | None = None,
) -> tuple[Radar, Evidence]:
    """What a radar file holds.

    Args:
        path: The file.
        file: The open file.
        bands: What it states of the bands that are read.
        asked: What the user says that it holds; None for what the file says, or dB.
        asset: What a STAC item says about it.

    Raises:
        DataError: If what the user says contradicts the file, values are complex and the user does
            not ask for their intensity.
    """
    if asked is not None and asked not in get_args(Radar):
        raise DataError(f'unknown radar {asked!r}{did_you_mean(asked, get_args(Radar))}')
    dtypes = {file.dtypes[band.number - 1] for band in bands}
    is_complex = any(dtype.startswith('complex') for dtype in dtypes)
    said, evidence = _said(path, file, bands, asset)
    if is_complex != (asked == 'complex'):
        raise DataError(
            f"{path} holds complex values (single-look complex radar): radar='complex' reads their "
            'intensity, or detect and calibrate it first'
            if is_complex
            else f'{path} holds {", ".join(sorted(dtypes))}, no complex values: leave out '
            "radar='complex', or name what it holds (dB, linear, amplitude)"
        )
    if asked is not None:
        # What the user says beats names, which may be older than the values.
        if said not in {None, asked} and evidence.how == How.STATED and not is_complex:
            raise DataError(
                f'{path} holds {said} ({evidence.found}), but radar={asked!r} is asked for: '
                f'leave radar out, or say {said!r}'
            )
        return asked, Evidence(How.TOLD, f'radar={asked!r}')
    if said is not None:
        return said, evidence
    return 'dB', Evidence(How.GUESSED, 'nothing says what values are: taken as dB')


def _said(
    path: str, file: DatasetReader, bands: Sequence[FileBand], asset: StacAsset | None
) -> tuple[Radar | None, Evidence]:
    """What item, file and names say, the surest first."""
    units = [band.unit for band in asset.bands] if asset is not None else []
    units += [file.units[band.number - 1] or '' for band in bands]
    for unit in units:
        if _DB.intersection(words(unit)):
            return 'dB', Evidence(How.STATED, f'of unit {unit!r}')
    texts = [text for band in bands for text in band.texts]
    spelled = {text: held for text in texts if (held := _spelled(words(text))) is not None}
    if len(set(spelled.values())) > 1:
        raise DataError(
            f'{path} holds bands of different kinds ({", ".join(spelled)}): convert them to one'
        )
    for text, held in spelled.items():
        return held, Evidence(How.STATED, f'described as {text!r}')
    for text in texts:
        if _CALIBRATED.intersection(words(text)):
            return 'linear', Evidence(How.NAMED, f'described as {text!r}, without dB')
    if asset is not None and asset.collection in _COLLECTIONS:
        found = Evidence(How.STATED, f'of the collection {asset.collection}')
        return _COLLECTIONS[asset.collection], found
    dtype = file.dtypes[bands[0].number - 1]
    for named in products_of(path):
        if named.product.radar is not None and dtype.startswith(named.product.dtype):
            return named.product.radar, Evidence(How.NAMED, f'{named.product.title}: {named.text}')
    return _spelled(words(Path(path).stem)), Evidence(How.NAMED, f'named {Path(path).name}')


def _spelled(found: Sequence[str]) -> Radar | None:
    if _DB.intersection(found):
        return 'dB'
    if _AMPLITUDE.intersection(found):
        return 'amplitude'
    return 'linear' if _POWER.intersection(found) else None
