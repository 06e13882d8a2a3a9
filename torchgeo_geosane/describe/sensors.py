"""Which of our sensors files are of, where nobody says it."""

from dataclasses import dataclass

from torchgeo_geosane.datasets.acquisitions import Acquisition, Paths, find_images
from torchgeo_geosane.errors import DataError
from torchgeo_geosane.sensors import SENSORS, Sensor


@dataclass(frozen=True)
class Fit:
    """A sensor that files may be of.

    Attributes:
        sensor: The sensor, with the bands that every image holds.
        bands: How many of all of the sensor's bands these are.
        is_sure: Whether the files say which band is which.
        left_out: How many files are not read.
    """

    sensor: Sensor
    bands: tuple[int, int]
    is_sure: bool
    left_out: int

    @property
    def rank(self) -> tuple[bool, int, float, int]:
        """Larger is likelier: stated bands, few files left out, and many bands, few lacking."""
        held, of = self.bands
        return self.is_sure, -self.left_out, held / of, held


def fitting(paths: Paths) -> list[Fit]:
    """The sensors that files may be of, the likeliest first.

    Args:
        paths: A folder, a glob, a file, STAC items, or a list of these.

    Raises:
        DataError: If there is none; the reason is that of the sensor with the most bands.
    """
    found, refused = [], {}
    for sensor in SENSORS.values():
        try:
            found.append(_fit(paths, sensor))
        except DataError as error:
            refused[sensor.name] = error
    if not found:
        reasons = '\n'.join(f'  {name}: {error}' for name, error in refused.items())
        raise DataError(f'these files fit none of the sensors; name one to see more.\n{reasons}')
    return sorted(found, key=lambda fit: fit.rank, reverse=True)


def _fit(paths: Paths, sensor: Sensor) -> Fit:
    images = find_images(paths, sensor)
    held = [name for name in sensor.band_names if all(_holds(i, name) for i in images.acquisitions)]
    if not held:
        raise DataError('no band is in every image')
    is_sure = all(
        evidence.is_sure
        for image in images.acquisitions
        for file in image.files
        for evidence in file.evidence
    )
    left_out = len(images.left_out) + sum(
        len(file.left_out) for image in images.acquisitions for file in image.files
    )
    return Fit(sensor.select(held), (len(held), sensor.in_chans), is_sure, left_out)


def _holds(image: Acquisition, band: str) -> bool:
    return bool(image.holding([band]))
