"""Scores of probes, over splits of the training images."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from torchgeo_geosane.callbacks.judge import Judged, halves
from torchgeo_geosane.callbacks.probe import PROBES, Probe
from torchgeo_geosane.compare.statistics import CONFIDENCE
from torchgeo_geosane.rank.features import Observed
from torchgeo_geosane.rank.training_data import TrainingData


@dataclass(frozen=True)
class Score:
    """How good a probe is, over splits.

    Attributes:
        mean: The mean over the splits.
        reach: Half the width of the 95 % interval, see :meth:`of`.
        by_split: The score of each split; weights that compete see the same splits.
    """

    mean: float
    reach: float
    by_split: tuple[float, ...]

    @classmethod
    def of(cls, by_split: Sequence[float]) -> 'Score':
        """The mean and its interval: the corrected resampled t (Nadeau and Bengio 2003).

        Splits of one set of images overlap, so their scores vary less than those of other images
        would; with halves, the variance counts ``1 / splits + 1`` times.
        """
        values = np.asarray(by_split, dtype=np.float64)
        count = len(values)
        width = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1))
        reach = width * math.sqrt((1 / count + 1) * float(values.var(ddof=1)))
        return cls(float(values.mean()), reach, tuple(values.tolist()))

    def is_below(self, other: 'Score') -> bool:
        """Whether this is worse beyond doubt: the same interval, of the differences split by split."""
        pairs = zip(other.by_split, self.by_split, strict=True)
        difference = Score.of([first - second for first, second in pairs])
        return difference.mean - difference.reach > 0


def score(observed: Observed, data: TrainingData, splits: int) -> dict[Probe, Score]:
    """Score features by every probe: fit on one half of the images, score on the other.

    Raises:
        DataError: If a half has no label.
    """
    targets, known = data.examples.targets(*observed.features.shape[1:3])
    judged = Judged(observed.features, targets, known, data.examples.measure)
    drawn = [halves(len(observed.features), seed) for seed in range(splits)]
    return {kind: Score.of([judged.score(kind, *split) for split in drawn]) for kind in PROBES}
