"""What people call bands: codes, common names and colours, polarisations, wavelengths.

This is the one place where spellings are known. :func:`meaning` reads a text alone,
:func:`band_meant` holds what it says against a sensor.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain

from torchgeo_geosane.sensors.base import Band, Sensor, plain_name

COMMON_NAMES: Mapping[str, tuple[float, float] | None] = {
    'coastal': (400, 450),
    'blue': (450, 510),
    'green': (510, 600),
    'yellow': (585, 625),
    'red': (600, 700),
    'rededge': None,
    'rededge071': (700, 715),
    'rededge075': (735, 745),
    'rededge078': (770, 790),
    'nir': (750, 900),
    'nir08': None,
    'nir09': (930, 960),
    'cirrus': (1350, 1400),
    'swir': None,
    'swir16': (1550, 1750),
    'swir22': (2050, 2350),
    'pan': None,
    'lwir': None,
    'lwir11': (10500, 11500),
    'lwir12': (11500, 12500),
}
"""Common names of STAC, and the limits in nm that a broad band of that name lies in."""

_SPELLINGS: Mapping[str, str] = {
    'coastal': 'coastal coastalaerosol coastalblue coastalbl aerosol aerosols ultrablue deepblue',
    'blue': 'blue blu',
    'green': 'green grn greenii',
    'yellow': 'yellow greeni',
    'red': 'red',
    'rededge': 'rededge vegetationrededge vre re',
    'rededge071': 'rededge1 rededge071 rededge071nm rededge705 re1 vre1 vegetationrededge1',
    'rededge075': 'rededge2 rededge075 rededge740 re2 vre2 vegetationrededge2',
    'rededge078': 'rededge3 rededge078 rededge783 re3 vre3 vegetationrededge3',
    'nir': 'nir nearinfrared nearir nirbroad broadnir nirwide nir1 widenir',
    'nir08': 'nir08 nirnarrow narrownir narrownearinfrared nearinfrarednarrow nir8a rededge4 re4 nir2',
    'nir09': 'nir09 watervapour watervapor',
    'cirrus': 'cirrus',
    'swir': 'swir shortwaveinfrared',
    'swir16': 'swir1 swir16 shortwaveinfrared1 swir1600',
    'swir22': 'swir2 swir22 shortwaveinfrared2 swir2200',
    'pan': 'pan panchromatic',
    'lwir': 'lwir thermal tir thermalinfrared longwaveinfrared',
    'lwir11': 'lwir11 thermal1 tir1 tirs1 thermalinfrared1',
    'lwir12': 'lwir12 thermal2 tir2 tirs2 thermalinfrared2',
}
_COMMON = {word: name for name, words in _SPELLINGS.items() for word in words.split()}
_POLARISATIONS = ('vv', 'vh', 'hh', 'hv')


def _words(*lines: str) -> frozenset[str]:
    return frozenset(' '.join(lines).split())


# Beside the image: masks, quality, angles, atmosphere, previews.
_EXTRA = _words(
    'qa qa10 qa20 qa60 qapixel scl sclass msk mask masks datamask valid nodata usable clear cloud clouds',
    'cloudmask cloudprob clouddist cld cldprb snw snwprb snow shadow shadows hillshade fmask detfoo',
    'classi classification qualit quality confidence probability udm udm1 udm2 radsat lineage alpha',
    'aot wvp sza saa vza vaa angle angles lia incidence layover dem doy footprint',
    'bqa gcp clm atb edg mg2 dfp iab emis emsd trad drad urad atran cdist st',
    'tci pvi preview thumbnail quicklook ql browse overview',
)
# Computed from a band, and no longer it.
_DERIVED = _words(
    'std stddev stdev sd variance var ratio diff difference index ndvi ndwi ndbi nbr evi savi texture',
    'phase coherence entropy count gradient anomaly i q real imag imaginary noise',
)
# Says nothing about which band it is.
_FILLING = _words(
    'band bands layer channel gray grey undefined central wavelength visible vis light broad color colour',
    'surface reflectance refl toa boa sr sur rad radiance l1c l2a l1 l2 msi oli tm etm landsat sentinel',
    'sentinel2 sentinel1 s1 s2 s2a s2b s2c mean median mosaic raw dn cog float32 10m 20m 30m 60m',
    'sigma0 gamma0 beta0 sigma gamma beta nought naught db decibel decibels linear power amplitude',
    'intensity backscatter rtc grd polarisation polarization radar sar c the of at in',
)

_WAVELENGTH = re.compile(
    r'(\d+(?:\.\d+)?) ?(nm|nanometers?|nanometres?|um|microns?|micrometers?)\b'
)
_VCID = re.compile(r'\b(?:sr |st )?b(?:and)?0*6 vcid (\d)\b')
_CODE = re.compile(r'\b(?:sr |refl )?b(?:and)? ?0*(\d{1,2})(a?)\b')
_NUMBER = re.compile(r'[a-z]{0,3}\d+(?:\.\d+)?')
# The prefix of Landsat's surface reflectance: its B5 is no other satellite's.
_LANDSAT = re.compile(r'SR_B', re.IGNORECASE)
_RANGE = 0.03
_NEAR = 0.04


class Kind(StrEnum):
    """What a text says about a band of a sensor.

    ``BAND``: it is that band. ``EXTRA``: it is none, but a mask, an angle, something computed.
    ``FOREIGN``: it is a band, but not one of this sensor's. ``UNCLEAR``: it says something that is
    not understood, or contradicts itself. ``NOTHING``: it says nothing.
    """

    BAND = 'band'
    EXTRA = 'extra'
    FOREIGN = 'foreign'
    UNCLEAR = 'unclear'
    NOTHING = 'nothing'


@dataclass
class Meaning:
    """What a text says, whatever the sensor.

    Attributes:
        codes: Band names such as ``'B8A'``, as :func:`~.base.plain_name` spells them.
        common: Common names, of :data:`COMMON_NAMES`.
        polarisations: ``'VV'`` and so on.
        wavelengths: In nm.
        extra: Words for what is no band.
        rest: Words that are not understood.
        letter: The text, if it is a single letter.
    """

    codes: list[str] = field(default_factory=list)
    common: list[str] = field(default_factory=list)
    polarisations: list[str] = field(default_factory=list)
    wavelengths: list[float] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    rest: list[str] = field(default_factory=list)
    letter: str = ''

    @property
    def says_nothing(self) -> bool:
        """Whether no word in it is about bands."""
        said = (
            self.codes,
            self.common,
            self.polarisations,
            self.wavelengths,
            self.extra,
            self.rest,
        )
        return not any(said) and not self.letter


def words(text: str) -> list[str]:
    """A text's words in lower case: ``'NearInfrared_B8A (865 nm)'`` has five."""
    text = text.replace('dB', 'db').replace('µ', 'u').replace('μ', 'u')
    text = re.sub(r'(?<=[a-z])(?=[A-Z][a-z])', ' ', text)
    return re.findall(r'\d+\.\d+|[a-z0-9]+', text.lower())


def meaning(text: str) -> Meaning:
    """Read a description such as ``'B4 (Red)'``, ``'Sigma0_VV_db'`` or ``'nir, 842 nm'``."""
    found = Meaning()
    rest = ' '.join(words(text))
    if len(rest) == 1 and rest in 'rgbn':
        return Meaning(letter=rest.upper())
    for match in _WAVELENGTH.finditer(rest):
        size = float(match[1])
        found.wavelengths.append(size if match[2].startswith('n') else 1000 * size)
    rest = _WAVELENGTH.sub(' ', rest)
    found.codes += [f'B6_VCID_{match[1]}' for match in _VCID.finditer(rest)]
    rest = _VCID.sub(' ', rest)
    found.codes += [f'B{match[1]}{match[2].upper()}' for match in _CODE.finditer(rest)]
    _sort_words(_CODE.sub(' ', rest).split(), found)
    return found


def _sort_words(rest: list[str], found: Meaning) -> None:
    while rest:
        for count in (4, 3, 2, 1):
            name = _COMMON.get(''.join(rest[:count]))
            if name is not None and len(rest) >= count:
                found.common.append(name)
                rest = rest[count:]
                break
        else:
            word, rest = rest[0], rest[1:]
            polarisations = re.fullmatch('(?:(?:vv|vh|hh|hv))+', word)
            if polarisations:
                found.polarisations += [pair.upper() for pair in re.findall('..', word)]
            elif word in _EXTRA or word in _DERIVED:
                found.extra.append(word)
            elif word not in _FILLING and not _NUMBER.fullmatch(word):
                found.rest.append(word)


def band_meant(text: str, sensor: Sensor) -> tuple[Kind, Band | None]:
    """What a text says about a band of a sensor.

    Everything that it says must agree: ``'B4 (Red)'`` is B4 of Sentinel-2, and unclear for Landsat
    5, whose B4 is near infrared.

    Returns:
        The kind, and the band where it is :attr:`Kind.BAND`.
    """
    foreign = _LANDSAT.match(text.strip()) and not sensor.name.startswith('landsat')
    for band in () if foreign else sensor.bands:
        if plain_name(band.name) == plain_name(text.strip()):
            return Kind.BAND, band
    said = meaning(text)
    if said.says_nothing:
        return Kind.NOTHING, None
    if said.extra or said.rest:
        return Kind.EXTRA if said.extra else Kind.UNCLEAR, None
    claims = list(chain(*_claims(said, sensor)))
    named = [band for band in claims if band is not None]
    if foreign or not named:
        return Kind.FOREIGN, None
    if any(band is not named[0] for band in claims):
        return Kind.UNCLEAR, None
    return Kind.BAND, named[0]


def _claims(said: Meaning, sensor: Sensor) -> Iterable[list[Band | None]]:
    """The band of each thing that is said; None for one that the sensor lacks."""
    letters = {'R': 'red', 'G': 'green', 'B': 'blue', 'N': 'nir'}
    yield [_coded(code, sensor) for code in said.codes]
    yield [_coded(name, sensor) for name in said.polarisations]
    yield [_common(name, sensor) for name in said.common]
    yield [_common(letters[said.letter], sensor)] if said.letter else []
    if said.codes:
        # Beside a code a wavelength must be near: "Band 1 (560 nm)" may count, and not name.
        bands = [_coded(code, sensor) for code in said.codes]
        sizes = [band.wavelength for band in bands if band is not None and band.wavelength]
        if any(abs(length / size - 1) > _NEAR for length in said.wavelengths for size in sizes):
            yield [None]
    elif not said.common:
        yield [at_wavelength(length, sensor) for length in said.wavelengths]


def _coded(code: str, sensor: Sensor) -> Band | None:
    return next((band for band in sensor.bands if plain_name(band.name) == code), None)


def _common(name: str, sensor: Sensor) -> Band | None:
    exact = [band for band in sensor.bands if name in band.common_names]
    return exact[0] if len(exact) == 1 else None


def at_wavelength(length: float, sensor: Sensor) -> Band | None:
    """The band around a wavelength in nm: the nearest within 3 %.

    Bands of cameras are broad: there it is the one whose common name has the wavelength.
    """
    optical = [band for band in sensor.bands if band.wavelength is not None]
    for band in optical:
        limits = [COMMON_NAMES[name] or (0, 0) for name in band.common_names]
        if band.gain is None and any(low <= length < high for low, high in limits):
            return band
    near = [
        (abs(length / band.wavelength - 1), band)
        for band in optical
        if band.wavelength is not None and band.gain is not None
    ]
    if not near:
        return None
    distance, band = min(near, key=lambda pair: pair[0])
    return band if distance <= _RANGE else None


def is_numbering(texts: Iterable[str | None]) -> bool:
    """Whether texts merely count: ``Band 1, Band 2``, ``lyr.1, lyr.2``, ``scene_1, scene_2``."""
    parts = [re.fullmatch(r'(.*?)[ ._-]*0*(\d+)', text.strip()) if text else None for text in texts]
    stems = {match[1].lower() for match in parts if match is not None}
    numbers = [int(match[2]) for match in parts if match is not None]
    return len(stems) == 1 and numbers == list(range(1, len(parts) + 1)) and len(parts) > 1
