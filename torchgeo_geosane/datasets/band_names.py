"""Which bands the name of a file names."""

import re

from torchgeo_geosane.datasets.product_names import named
from torchgeo_geosane.sensors import Band, Sensor
from torchgeo_geosane.sensors.spelling import Kind, band_meant, meaning, words


def named_band(name: str, sensor: Sensor) -> tuple[Kind, Band | None, str] | None:
    """What the name of a file of one band says: kind, band and text; None where it says nothing.

    A product's name has a place for the band. In other names the last code counts
    (``x_B04_10m``), unless a word behind it says that this is no image (``x_B04_mask``); a common
    name or a colour counts at the end alone (``scene_red``, not ``red_river``).
    """
    product = named(name)
    text = product.groups.get('band', '') if product is not None else ''
    kind, band = band_meant(text, sensor)
    if kind in {Kind.BAND, Kind.EXTRA, Kind.FOREIGN}:
        return kind, band, text
    codes = codes_in(name, sensor)
    if codes:
        begin, code, end = codes[-1]
        around = [*words(name[:begin])[-1:], *words(name[end:])]
        if any(meaning(word).extra for word in around):
            return Kind.EXTRA, None, name[begin:]
        return *band_meant(code, sensor), code
    tail = [word for word in words(name) if not _NO_BAND.fullmatch(word)]
    found = None
    for count in range(1, min(len(tail), 4) + 1):
        text = ' '.join(tail[-count:])
        kind, band = band_meant(text, sensor)
        if len(text) == 1 and len(tail) > 1:
            continue  # A letter at the end of a longer name is anything.
        if kind in {Kind.BAND, Kind.FOREIGN} or (
            kind == Kind.EXTRA and found is None and count < 3
        ):
            found = kind, band, text
    return found


# Behind a band: resolution, "(Raw)", versions, dates.
_NO_BAND = re.compile(r'\d+m|raw|cog|clip(?:ped)?|v\d+|\d{4,}(?:t\d+)?')
_CODE = re.compile(
    r'(?<![A-Za-z0-9])(?:(?:SR|sur_refl)_)?(?:(?:B|band_?)(?:0*\d{1,2}A?)|VV|VH|HH|HV)'
    r'(?:_VCID_\d)?(?![A-Za-z0-9])',
    re.IGNORECASE,
)


def codes_in(name: str, sensor: Sensor) -> list[tuple[int, str, int]]:
    """Codes of bands in a name: where each begins, the code, and where it ends."""
    found = [(match.start(), match[0], match.end()) for match in _CODE.finditer(name)]
    plain = {band.name for band in sensor.bands if not _CODE.fullmatch(band.name)}
    for band in plain:
        end = '$' if len(band) == 1 else '(?![A-Za-z0-9])'
        pattern = rf'(?<![A-Za-z0-9]){re.escape(band)}{end}'
        found += [(match.start(), band, match.end()) for match in re.finditer(pattern, name)]
    return sorted(found)
