"""What happens to a batch on the device: radar in dB, augmentation, clipping, normalisation."""

from collections.abc import Sequence
from dataclasses import dataclass

import kornia.augmentation as K
import torch

from torchgeo_geosane.datasets.chips import DB, LINEAR
from torchgeo_geosane.errors import DataError
from torchgeo_geosane.sensors import get_sensor
from torchgeo_geosane.transforms import (
    Clip,
    OnChannels,
    RandomBandDropout,
    RandomBandJitter,
    RandomDecibelJitter,
    RandomSpeckle,
    ToDecibel,
)

Steps = list[K.IntensityAugmentationBase2D]

_PHOTOGRAPH = '8-bit'


@dataclass(frozen=True)
class BandScale:
    """How a band is normalised: clipped, then the mean subtracted, then divided.

    Attributes:
        mean: In the files' unit; radar always in dB.
        std: In the same unit.
        limits: Values are clipped to these before; None clips nothing.
    """

    mean: float
    std: float
    limits: tuple[float, float] | None = None


def sensor_scales(
    sensor: str, bands: Sequence[str], limits: tuple[float, float] | None = None
) -> dict[str, BandScale]:
    """The statistics of a sensor, for data of which nobody has measured any.

    Args:
        sensor: Name of the sensor.
        bands: Some of its bands.
        limits: Values are clipped to these before normalisation.

    Raises:
        SensorError: If the sensor or a band is unknown.
    """
    found = get_sensor(sensor).select(bands)
    if found.mean is None or found.std is None:
        raise DataError(f'the statistics of sensor {found.name!r} are not known: measure them')
    return {
        band: BandScale(mean, std, limits)
        for band, mean, std in zip(bands, found.mean, found.std, strict=True)
    }


def chosen_scales(
    bands: Sequence[str],
    known: tuple[Sequence[float | None], Sequence[float | None]],
    given: tuple[Sequence[float] | None, Sequence[float] | None],
) -> list[BandScale]:
    """How bands are normalised: as somebody says, else as is known.

    Args:
        bands: Their names.
        known: Mean and standard deviation of each band; None where it is not known.
        given: What somebody says instead.

    Raises:
        DataError: If another number of them is given, or those of a band are not known.
    """
    means, stds = (
        found if said is None else list(said) for said, found in zip(given, known, strict=True)
    )
    if len(means) != len(bands) or len(stds) != len(bands):
        raise DataError(
            f'{len(means)} means and {len(stds)} standard deviations for {len(bands)} '
            f'bands ({", ".join(bands)}): give one for each'
        )
    scales = [
        BandScale(mean, std)
        for mean, std in zip(means, stds, strict=True)
        if mean is not None and std is not None
    ]
    if len(scales) < len(means):
        raise DataError(
            'the statistics of some bands are not known: set statistics: training, or give '
            'mean and std'
        )
    return scales


def normalisation(units: Sequence[str], scales: Sequence[BandScale]) -> K.AugmentationSequential:
    """For evaluation: radar in dB, clipping, normalisation.

    Args:
        units: Unit of each channel, as a data set states it.
        scales: How each channel is normalised.
    """
    return _pipeline(*in_decibels(units), *clipping(scales), _normalize(scales))


def flips(units: Sequence[str], scales: Sequence[BandScale]) -> K.AugmentationSequential:
    """For training: as :func:`normalisation`, flipped at random in both directions.

    Args:
        units: Unit of each channel, as a data set states it.
        scales: How each channel is normalised.
    """
    steps = *in_decibels(units), *clipping(scales), _normalize(scales)
    return _pipeline(*steps, K.RandomHorizontalFlip(), K.RandomVerticalFlip())


def augmentation(units: Sequence[str], scales: Sequence[BandScale]) -> K.AugmentationSequential:
    """For training: as :func:`flips`, with random changes of bands.

    Radar gets speckle and shifts of whole bands, reflectance and photographs a gain for each band,
    all before the normalisation; after it reflectance loses bands, and everything is flipped.

    Args:
        units: Unit of each channel, as a data set states it.
        scales: How each channel is normalised.
    """
    return _pipeline(
        *in_decibels(units),
        *_jitter(units),
        *clipping(scales),
        _normalize(scales),
        *_dropout(units),
        K.RandomHorizontalFlip(),
        K.RandomVerticalFlip(),
    )


def in_decibels(units: Sequence[str]) -> Steps:
    """Linear power to dB, in the channels that hold it."""
    linear = [channel for channel, unit in enumerate(units) if unit == LINEAR]
    return [OnChannels(ToDecibel(), linear)] if linear else []


def clipping(scales: Sequence[BandScale]) -> Steps:
    """Each channel to its limits."""
    found = dict.fromkeys(scale.limits for scale in scales if scale.limits is not None)
    return [
        OnChannels(
            Clip(*limits),
            [channel for channel, scale in enumerate(scales) if scale.limits == limits],
        )
        for limits in found
    ]


def _jitter(units: Sequence[str]) -> Steps:
    radar = [channel for channel, unit in enumerate(units) if unit in {DB, LINEAR}]
    optical = [channel for channel in range(len(units)) if channel not in radar]
    steps: Steps = []
    if radar:
        steps += [
            OnChannels(RandomSpeckle(looks=10, units='dB'), radar),
            OnChannels(RandomDecibelJitter(spread=1.0, units='dB'), radar),
        ]
    if optical:
        steps.append(OnChannels(RandomBandJitter(gain=0.1), optical))
    return steps


def _dropout(units: Sequence[str]) -> Steps:
    """A photograph without green is no photograph: bands of a multispectral image alone go."""
    kept = {DB, LINEAR, _PHOTOGRAPH}
    multispectral = [channel for channel, unit in enumerate(units) if unit not in kept]
    return [OnChannels(RandomBandDropout(rate=0.2), multispectral)] if multispectral else []


def _normalize(scales: Sequence[BandScale]) -> K.Normalize:
    mean, std = ([getattr(scale, name) for scale in scales] for name in ('mean', 'std'))
    return K.Normalize(mean=torch.tensor(mean), std=torch.tensor(std))


def _pipeline(*steps: K.IntensityAugmentationBase2D) -> K.AugmentationSequential:
    return K.AugmentationSequential(*steps, data_keys=None, keepdim=True)
