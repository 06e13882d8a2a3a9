"""What a file states about each of its bands: descriptions, tags, colours, wavelengths."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader

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
