"""What a file states about each of its bands: descriptions, tags, colours, wavelengths."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from PIL.TiffImagePlugin import ImageFileDirectory_v2
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader

_SNAP_TAG = 65000
_TEXT_TAGS = ('COMMON_NAME', 'BAND_NAME', 'BANDNAME', 'NAME', 'LONG_NAME', 'STANDARD_NAME', 'POLARISATION',
              'POLARIZATION')  # fmt: skip
_WAVELENGTH_TAGS = (
    'CENTRAL_WAVELENGTH_UM',
    'WAVELENGTH',
    'CENTRAL_WAVELENGTH',
    'CENTER_WAVELENGTH',
)


@dataclass(frozen=True)
class FileBand:
    """What a file states about one of its bands.

    Attributes:
        number: From 1.
        texts: Names, the surest first: its description, then tags.
        colour: Its colour interpretation.
        wavelength: Its tags about a wavelength, as a text such as ``'665 nm'``; or nothing.
    """

    number: int
    texts: tuple[str, ...] = ()
    colour: ColorInterp = ColorInterp.undefined
    wavelength: str = ''


def file_bands(file: DatasetReader) -> list[FileBand]:
    """What an open file states about each of its bands."""
    snap = [] if file.count == 1 or any(file.descriptions) else _snap_names(file)
    found = []
    for number in file.indexes:
        tags = {
            key.upper(): value
            for domain in ('', 'IMAGERY')
            for key, value in file.tags(number, **({'ns': domain} if domain else {})).items()
        }
        described = file.descriptions[number - 1]
        texts = [described] if described else []
        texts += [tags[key] for key in _TEXT_TAGS if tags.get(key)]
        texts += snap[number - 1] if snap else []
        found.append(
            FileBand(number, tuple(texts), file.colorinterp[number - 1], _wavelength(tags))
        )
    return found


def _wavelength(tags: Mapping[str, str]) -> str:
    for key in _WAVELENGTH_TAGS:
        number = re.match(r'\s*(\d+(?:\.\d+)?)', tags.get(key, ''))
        if number is None:
            continue
        unit = tags.get('WAVELENGTH_UNITS', '').lower()
        # Nobody gives a wavelength of light in thousands of micrometres, or in single nanometres.
        micro = (
            unit.startswith(('um', 'µm', 'micro')) or key.endswith('_UM') or float(number[1]) < 30
        )
        return f'{number[1]} {"um" if micro else "nm"}'
    return ''


def _snap_names(file: DatasetReader) -> list[list[str]]:
    """Name and unit of each band of a GeoTIFF of SNAP, which keeps them in a tag of its own."""
    if file.driver != 'GTiff' or not os.path.isfile(file.name):
        return []
    with open(file.name, 'rb') as stream:
        start = stream.read(16)
        if start[2:3] + start[3:4] not in {b'*\0', b'\0*'}:
            return []  # No classic TIFF: SNAP writes none.
        directory = ImageFileDirectory_v2(start[:8])
        stream.seek(directory.next)
        directory.load(stream)
        text = str(directory.get(_SNAP_TAG, ''))
    parts = re.findall(r'<Spectral_Band_Info>(.*?)</Spectral_Band_Info>', text, re.DOTALL)
    names = [re.findall(r'<(?:BAND_NAME|PHYSICAL_UNIT)>([^<]+)<', part) for part in parts]
    return names if len(names) == file.count and all(names) else []
