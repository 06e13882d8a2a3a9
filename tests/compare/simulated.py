"""Records of runs that never ran: what the report's tests read."""

from collections.abc import Mapping

import numpy as np

from torchgeo_geosane.compare.record import Method, RunRecord

METRIC = 'test_mIoU'


def simulate(
    means: Mapping[str, float],
    seeds: int = 10,
    fraction: float = 1.0,
    method: Method = 'finetune',
    noise: float = 0.01,
) -> list[RunRecord]:
    """Runs whose metric is a mean of the initialisation, a share of the seed, and noise."""
    records = []
    for place, (name, mean) in enumerate(means.items()):
        for seed in range(seeds):
            shared = 0.05 * np.random.default_rng([1, seed]).normal()
            own = noise * np.random.default_rng([2, seed, place]).normal()
            value = float(mean + shared + own)
            steps = range(0, 100, 20)
            records.append(
                RunRecord(
                    name,
                    seed,
                    fraction,
                    method,
                    metrics={METRIC: value, 'test_loss': 1 - value},
                    curve=tuple((step, 2 / (1 + step) - value) for step in steps),
                    validation=tuple((step, value * step / 100) for step in steps),
                    parameters=2_000_000,
                    trained=1_500_000,
                    seconds=1.5,
                    training_seconds=1 + seed / 10,
                    image_ms=2 + seed,
                )
            )
    return records
