"""Runs of a comparison over a cluster, through Ray Tune (an optional extra)."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from torchgeo_geosane.compare.config import ComparisonConfig
from torchgeo_geosane.compare.record import RunKey, RunRecord, write_record
from torchgeo_geosane.compare.schedule import RUNS, Outcome, run_and_record
from torchgeo_geosane.errors import ComparisonError

if TYPE_CHECKING:
    from ray import tune


def run_on_ray(
    comparison: ComparisonConfig, keys: Sequence[RunKey], output: Path, jobs: int
) -> Iterator[Outcome]:
    """Run as trials of Ray Tune, on the cluster that Ray is connected to, or on this machine.

    Ray shows the progress; outcomes are known when all are finished. Every node needs the package
    and the data under the same paths; records come back through Ray, logs stay where the run was
    unless ``output`` is shared.

    Args:
        comparison: What is compared.
        keys: The runs.
        output: Folder of the records and logs.
        jobs: Trials at once, at most; 0 for as many as the cluster holds.

    Raises:
        ComparisonError: If Ray is not installed.
    """
    if not keys:
        return
    try:
        from ray import tune
    except ImportError as error:
        raise ComparisonError(
            f'the backend ray needs Ray Tune ({error}): pip install "torchgeo-geosane[ray]"'
        ) from error
    output = output.resolve()

    def trial(config: dict[str, int]) -> dict[str, Any]:
        outcome = run_and_record(comparison, keys[config['run']], output)
        record = None if outcome.record is None else dataclasses.asdict(outcome.record)
        return {'record': record, 'error': outcome.error}

    tuner = tune.Tuner(
        tune.with_resources(trial, _resources(comparison)),
        param_space={'run': tune.grid_search(list(range(len(keys))))},
        tune_config=tune.TuneConfig(max_concurrent_trials=jobs or None),
    )
    yield from _outcomes(tuner.fit(), keys, output)


def _outcomes(
    results: 'tune.ResultGrid', keys: Sequence[RunKey], output: Path
) -> Iterator[Outcome]:
    """What Ray says of every run; records are written here, as the node's disk may be another."""
    left = dict(enumerate(keys))
    for number in range(len(results)):
        result = results[number]
        metrics = result.metrics or {}
        if 'config' not in metrics:  # Ctrl-C came before it began.
            continue
        run = metrics['config']['run']
        if result.error is not None:
            reason = ' '.join(str(result.error).split())
            yield Outcome(left.pop(run), error=f'its trial failed: {reason}')
        elif 'record' in metrics:
            stored = metrics['record']
            record = None if stored is None else RunRecord.from_dict(stored)
            if record is not None:
                write_record(output / RUNS, record)
            yield Outcome(left.pop(run), record, metrics['error'])
    for key in left.values():
        yield Outcome(key, error='its trial did not end, because Ray was interrupted')


def _resources(comparison: ComparisonConfig) -> dict[str, float]:
    """What one run takes: the threads that torch would take here, the GPUs its trainer asks for."""
    trainer = comparison.fit.get('trainer') or {}
    on_gpu = trainer.get('accelerator') in {'gpu', 'cuda'}
    devices = trainer.get('devices', 1)
    gpus = devices if isinstance(devices, int) and devices > 0 else 1
    return {'cpu': torch.get_num_threads(), 'gpu': gpus if on_gpu else 0}
