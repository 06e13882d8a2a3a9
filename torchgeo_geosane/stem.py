"""The stem, which sees the sensor's bands: rebuilding it for other bands."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from torchgeo_geosane.errors import ArchitectureError
from torchgeo_geosane.sensors import Band

# Below this share of the kernel's norm the channels cancel: their sum tells nothing of the gain.
_CANCELS = 1e-3


def same_bands(source: Sequence[Band], target: Sequence[Band]) -> bool:
    """Whether a stem for ``source`` serves ``target`` as it is: the same bands in one order."""
    return len(source) == len(target) and all(
        one.is_same(other) for one, other in zip(source, target, strict=True)
    )


def adapt_stem(weight: Tensor, source: Sequence[Band], target: Sequence[Band]) -> Tensor:
    """Rebuild a stem for other bands, band by band (see :func:`band_mixture`).

    The result is scaled by one number that keeps the Frobenius norm of the kernel summed over its
    channels. Bands of a scene are highly correlated, so this sum is what a typical scene excites:
    the next layer sees inputs as large as before, whether bands were added or taken away, and the
    bands keep their weight relative to each other. Where the channels cancel (a sum of no size),
    the number is the ratio of the channel counts instead, which is the same for equal bands.

    Args:
        weight: The prompt's stem, ``[out, len(source), height, width]``.
        source: The bands that the prompt's stem sees.
        target: The bands wanted.

    Returns:
        A new tensor ``[out, len(target), height, width]``, float32 (float64 for a float64 input).
        The same bands give the same values bit for bit, the same in another order their exact
        permutation.

    Raises:
        ArchitectureError: If the stem's channels are not those of ``source``, or a band list is
            empty.
    """
    if weight.ndim != 4 or weight.shape[1] != len(source) or not source or not target:
        raise ArchitectureError(
            f'a stem of shape {tuple(weight.shape)} cannot be adapted '
            f'from {len(source)} to {len(target)} bands: '
            f'[out, {len(source)}, height, width] with at least one band each is needed'
        )
    weight = weight.detach().to(torch.float64 if weight.dtype == torch.float64 else torch.float32)
    mixture = band_mixture(source, target)
    if _is_permutation(mixture):
        return weight[:, mixture.argmax(dim=1)]
    mixed = torch.einsum('ts,oshw->othw', mixture.to(weight), weight)
    return mixed * _gain(weight, mixed)


def band_mixture(source: Sequence[Band], target: Sequence[Band]) -> Tensor:
    """How much of each prompt band goes into each target band.

    - The same band (name and wavelength) is copied. Red of Landsat is not red of Sentinel-2: it
      is interpolated.
    - Another optical band is interpolated linearly between the two prompt bands nearest in
      wavelength, and copied from the outermost band beyond the prompt's range. Bands of one
      wavelength share their part equally.
    - A radar band, an index, or an optical band of a prompt without any, is the mean of all
      channels.

    Args:
        source: The prompt's bands.
        target: The bands wanted.

    Returns:
        ``[len(target), len(source)]``, float64, non-negative, every row summing to one.
    """
    return torch.tensor([_row(band, source) for band in target], dtype=torch.float64)


def _row(band: Band, source: Sequence[Band]) -> list[float]:
    same = [other.is_same(band) for other in source]
    if any(same):
        return [share / sum(same) for share in same]
    wavelengths = [other.wavelength for other in source]
    known = sorted({wavelength for wavelength in wavelengths if wavelength is not None})
    if band.wavelength is None or not known:
        return [1 / len(source)] * len(source)
    below = max((w for w in known if w <= band.wavelength), default=known[0])
    above = min((w for w in known if w >= band.wavelength), default=known[-1])
    part = 0.0 if above == below else (band.wavelength - below) / (above - below)
    shares = dict.fromkeys(known, 0.0)
    shares[below] += 1 - part
    shares[above] += part
    return [0.0 if w is None else shares[w] / wavelengths.count(w) for w in wavelengths]


def _is_permutation(mixture: Tensor) -> bool:
    square = mixture.shape[0] == mixture.shape[1]
    return (
        square and bool((mixture.amax(dim=0) == 1).all()) and bool((mixture.amax(dim=1) == 1).all())
    )


def _gain(before: Tensor, after: Tensor) -> float:
    old, new = (kernel.double().sum(dim=1).norm().item() for kernel in (before, after))
    cancels = (
        old <= _CANCELS * before.double().norm().item()
        or new <= _CANCELS * after.double().norm().item()
    )
    gain = math.nan if cancels else old / new
    return gain if math.isfinite(gain) else before.shape[1] / after.shape[1]
