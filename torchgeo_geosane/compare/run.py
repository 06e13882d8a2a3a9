"""One run: build the task, load the start, train, test, record."""

import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from lightning.pytorch import Callback, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint

from torchgeo_geosane.callbacks import ConditionBatchNorm, Distil
from torchgeo_geosane.callbacks.backbone import Backbone
from torchgeo_geosane.compare.build import build
from torchgeo_geosane.compare.config import ComparisonConfig
from torchgeo_geosane.compare.initialisations import INITIALISATIONS
from torchgeo_geosane.compare.record import RunKey, RunRecord
from torchgeo_geosane.compare.teacher import train_teacher
from torchgeo_geosane.compare.watch import CheckStart, FreezeBackbone, RecordCurves
from torchgeo_geosane.errors import ComparisonError, did_you_mean


def run(comparison: ComparisonConfig, key: RunKey) -> RunRecord:
    """Train and test once, in this process.

    Runs of one seed see the same fresh head, batches and augmentations, whatever they start from.

    Args:
        comparison: The task and its budget.
        key: Which run.

    Raises:
        GeoSANEError: If the start cannot be had, or does not fit the task.
        ComparisonError: If the fit is malformed, or logs no such metric.
    """
    began = time.monotonic()
    material = comparison.material
    start = INITIALISATIONS[key.initialisation].make(material, key.seed)
    # Before the task is built, which draws from the seed anew.
    taught = [_teach(comparison, key)] if start.taught else []
    with tempfile.TemporaryDirectory(prefix='geosane-compare-') as folder:
        best = ModelCheckpoint(
            folder,
            monitor=f'val_{comparison.metric}',
            mode=comparison.mode,
            save_weights_only=True,
        )
        curves = RecordCurves(f'val_{comparison.metric}')
        built = build(comparison.fit, key, Path(folder), [best, curves])
        task, trainer = built.model, built.trainer
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        backbone = Backbone.of(task, material.spec)
        if start.tensors is not None:
            backbone.load(start.tensors)
            callbacks.insert(0, CheckStart(backbone, start.tensors))
        if start.spec is not None:
            task.weights = start.spec.url  # What candidates are drawn of.
        first: list[Callback] = [*start.callbacks, *taught]
        if key.conditioned:
            first.append(ConditionBatchNorm())
        if key.method == 'linear_probe':
            first.append(FreezeBackbone(backbone))
        # Lightning wants checkpoints last.
        callbacks[-1:-1] = first
        # From here on, all starts draw alike.
        seed_everything(key.seed, workers=True, verbose=False)
        trainer.fit(task, datamodule=built.datamodule)
        if best.best_model_path:
            (metrics,) = trainer.test(
                task, datamodule=built.datamodule, ckpt_path=best.best_model_path, verbose=False
            )
        else:
            (metrics,) = trainer.test(task, datamodule=built.datamodule, verbose=False)
    wanted = f'test_{comparison.metric}'
    if wanted not in metrics:
        raise ComparisonError(f'the test logs no {wanted!r}{did_you_mean(wanted, metrics)}')
    return RunRecord(
        **asdict(key),
        metrics={name: float(value) for name, value in metrics.items()},
        curve=curves.curve,
        validation=curves.validation,
        parameters=sum(parameter.numel() for parameter in task.parameters()),
        seconds=time.monotonic() - began,
        configuration=comparison.configuration(key.initialisation),
        metric=comparison.metric,
        mode=comparison.mode,
        task=comparison.task,
    )


def _teach(comparison: ComparisonConfig, key: RunKey) -> Distil:
    options = comparison.material.distillation
    return Distil(train_teacher(comparison, key), options.temperature, options.share)
