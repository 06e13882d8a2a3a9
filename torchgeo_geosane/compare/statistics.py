"""Is one start better than another? Differences seed by seed, and what they allow to say."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CONFIDENCE = 0.95
_RESAMPLES = 9999
_FEWEST_TO_RESAMPLE = 5  # Of fewer values, resampling knows too little of the tails.

_Values = NDArray[np.float64]


@dataclass(frozen=True)
class Mean:
    """The mean of some values, and how far it can be trusted.

    Attributes:
        mean: The mean; NaN where there is no value.
        std: Standard deviation of the values (``n - 1``); NaN below two values.
        low: Lower end of the 95 % confidence interval of the mean; NaN below two values.
        high: Upper end.
        count: Number of values.
    """

    mean: float
    std: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> 'Mean':
        """Estimate the mean.

        The interval is a BCa bootstrap (Efron 1987), widened for small samples (Hesterberg 2015,
        "What Teachers Should Know About the Bootstrap", expanded percentiles); Student's t below
        five values. It depends on the values alone: nothing is drawn from the global random state.

        Args:
            values: Finite numbers, independent of each other.
        """
        array = np.asarray(values, dtype=np.float64)
        if len(array) < 2:
            mean = float(array[0]) if len(array) else math.nan
            return cls(mean, math.nan, math.nan, math.nan, len(array))
        low, high = _interval(array)
        return cls(float(array.mean()), float(array.std(ddof=1)), low, high, len(array))


@dataclass(frozen=True)
class Difference:
    """How much better one start is than another, over the seeds that both have run.

    Attributes:
        by_seed: First minus second, for each seed.
        mean: Mean of the differences.
        wins: Share of the seeds on which the first is better; a tie is half a win. NaN without
            seeds.
        p_value: Of the exact sign-flip test (sampled above 13 seeds), two-sided: how likely so large
            a mean is where neither start is better. 1 below two seeds.
        unpaired: Number of seeds that only one of the two has.
    """

    by_seed: Mapping[int, float]
    mean: Mean
    wins: float
    p_value: float
    unpaired: int

    @classmethod
    def between(cls, first: Mapping[int, float], second: Mapping[int, float]) -> 'Difference':
        """Compare two starts.

        Args:
            first: Value of each seed; more is better.
            second: The same for the start it is compared with.
        """
        seeds = sorted(first.keys() & second.keys())
        by_seed = {seed: first[seed] - second[seed] for seed in seeds}
        array = np.array(list(by_seed.values()), dtype=np.float64)
        return cls(
            by_seed=by_seed,
            mean=Mean.of(array.tolist()),
            wins=float(np.mean((np.sign(array) + 1) / 2)) if seeds else math.nan,
            p_value=_sign_flip_test(array),
            unpaired=len(first.keys() ^ second.keys()),
        )


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number (Holm 1979): at 0.05, one false finding in 20 such tables.

    Args:
        p_values: Of all comparisons that are reported together.

    Returns:
        Adjusted p-values, in the same order.
    """
    array = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(array, kind='stable')
    factors = np.arange(len(array), 0, -1)
    adjusted = np.empty_like(array)
    adjusted[order] = np.maximum.accumulate(np.minimum(array[order] * factors, 1))
    return adjusted.tolist()


def _interval(values: _Values) -> tuple[float, float]:
    count = len(values)
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    width = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1))
    if count < _FEWEST_TO_RESAMPLE:
        reach = width * float(values.std(ddof=1)) / math.sqrt(count)
        return float(values.mean()) - reach, float(values.mean()) + reach
    level = 1 - 2 * float(stats.norm.sf(width * math.sqrt(count / (count - 1))))
    with np.errstate(all='ignore'):
        found = _bootstrap(values, level, 'BCa')
    # BCa is undefined where the resampled means do not straddle the mean, as with nearly all ties.
    return found if all(map(math.isfinite, found)) else _bootstrap(values, level, 'percentile')


def _bootstrap(values: _Values, level: float, method: str) -> tuple[float, float]:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', stats.DegenerateDataWarning)
        found: Any = stats.bootstrap(
            (values,),
            np.mean,
            confidence_level=level,
            n_resamples=_RESAMPLES,
            method=method,
            rng=np.random.default_rng(0),
        ).confidence_interval
    return float(found.low), float(found.high)


def _sign_flip_test(differences: _Values) -> float:
    if len(differences) < 2 or not differences.any():
        return 1.0
    found: Any = stats.permutation_test(
        (differences,),
        lambda values, axis: np.mean(values, axis=axis),
        permutation_type='samples',
        vectorized=True,
        n_resamples=_RESAMPLES,
        rng=np.random.default_rng(0),
    )
    return float(found.pvalue)
