"""Statistics of bands, from one image after the other."""

from collections.abc import Iterable

import torch
from torch import Tensor

from torchgeo_geosane.errors import DataError


def band_statistics(images: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each band over all pixels that have data.

    Args:
        images: [bands, height, width] each, sizes may differ, NaN where there is no data. One is
            kept at a time.

    Returns:
        Mean and standard deviation, float64, [bands].

    Raises:
        DataError: If a band has no data in any image.
    """
    count = mean = squares = torch.zeros(1, dtype=torch.float64)
    for image in images:
        values = image.double().flatten(1)
        known = values.isfinite()
        more = known.sum(1)
        average = values.where(known, 0).sum(1) / more.clamp(min=1)
        deviations = (values - average[:, None]).where(known, 0).square().sum(1)
        # Chan, Golub and LeVeque: two sets of numbers as one, without a difference of large sums.
        total = count + more
        difference, share = average - mean, more / total.clamp(min=1)
        squares = squares + deviations + difference.square() * count * share
        mean = mean + difference * share
        count = total
    if not count.all():
        raise DataError(
            f'bands {torch.nonzero(count == 0).flatten().tolist()} have no data in any image: '
            'restore the files'
        )
    return mean, (squares / count).sqrt()
