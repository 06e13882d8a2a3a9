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
            not ask for their intensity, or they cannot be dB and nothing says what else.
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
        if said is not None and said != asked and not is_complex:
            raise DataError(
                f'{path} holds {said} ({evidence.found}), but radar={asked!r} is asked for: '
                f'leave radar out, or say {said!r}'
            )
        return asked, Evidence(How.TOLD, f'radar={asked!r}')
    if said is not None:
        return said, evidence
    unsigned = any(dtype.startswith('uint') for dtype in dtypes)
    if unsigned and all(
        file.scales[b.number - 1] == 1 and not file.offsets[b.number - 1] for b in bands
    ):
        raise DataError(
            f'{path} holds {", ".join(sorted(dtypes))}, which has no negative values and so is hardly '
            "dB, and does not say what else: name it, as in radar='amplitude' (detected products "
            "as delivered) or 'linear'"
        )
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
    for text in [text for band in bands for text in band.texts]:
        held = _spelled(set(words(text)), calibrated=True)
        if held is not None:
            return held, Evidence(How.STATED, f'described as {text!r}')
    if asset is not None and asset.collection in _COLLECTIONS:
        found = Evidence(How.STATED, f'of the collection {asset.collection}')
        return _COLLECTIONS[asset.collection], found
    for named in products_of(path):
        if named.product.radar is not None:
            return named.product.radar, Evidence(How.NAMED, f'{named.product.title}: {named.text}')
    held = _spelled(set(words(Path(path).stem)), calibrated=False)
    return held, Evidence(How.NAMED, f'named {Path(path).name}')


def _spelled(found: set[str], calibrated: bool) -> Radar | None:
    if _DB & found:
        return 'dB'
    if _AMPLITUDE & found:
        return 'amplitude'
    if _POWER & found:
        return 'linear'
    return 'linear' if calibrated and _CALIBRATED & found else None
