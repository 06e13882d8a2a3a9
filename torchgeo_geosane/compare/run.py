"""One run: build the task, load the start, train, test, record."""

import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningCLI

from torchgeo_geosane.callbacks import ConditionBatchNorm, Distil
from torchgeo_geosane.callbacks.backbone import Backbone
from torchgeo_geosane.compare.build import build
from torchgeo_geosane.compare.config import ComparisonConfig
from torchgeo_geosane.compare.material import Start
from torchgeo_geosane.compare.models import pretrained_part
from torchgeo_geosane.compare.record import RunKey, RunRecord
from torchgeo_geosane.compare.teacher import train_teacher
from torchgeo_geosane.compare.watch import CheckStart, FreezeBackbone, RecordCurves, TimeImages
from torchgeo_geosane.errors import ComparisonError, did_you_mean


def run(comparison: ComparisonConfig, key: RunKey) -> RunRecord:
    """Train and test once, in this process.

    Runs of one seed see the same fresh head, batches and augmentations, whatever they start from;
    another model has another head.

    Args:
        comparison: The task and its budget.
        key: Which run.

    Raises:
        GeoSANEError: If the start cannot be had, or does not fit the task.
        ComparisonError: If the fit is malformed, or logs no such metric.
    """
    began = time.monotonic()
    model = comparison.models.get(key.initialisation)
    start = Start()
    if model is None:
        start = comparison.initialisation(key.initialisation).make(comparison.material, key.seed)
    # Before the task is built, which draws from the seed anew.
    taught = [_teach(comparison, key)] if start.taught else []
    with tempfile.TemporaryDirectory(prefix='geosane-compare-') as folder:
        best = ModelCheckpoint(
            folder,
            monitor=f'val_{comparison.metric}',
            mode=comparison.mode,
            save_weights_only=True,
        )
        curves, speed = RecordCurves(f'val_{comparison.metric}'), TimeImages()
        own: list[Callback] = [best, curves, speed]
        built = build(comparison.fit, key, Path(folder), own, model)
        task, trainer = built.model, built.trainer
        first = _load(comparison, task, start) if model is None else []
        prepared = [*start.callbacks, *taught, *_method(comparison, key, task)]
        # Lightning wants checkpoints last.
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        callbacks[:] = [*first, *callbacks[:-1], *prepared, callbacks[-1]]
        # From here on, all starts draw alike.
        seed_everything(key.seed, workers=True, verbose=False)
        trained = time.monotonic()
        trainer.fit(task, datamodule=built.datamodule)
        training_seconds = time.monotonic() - trained
        metrics = _test(trainer, built, best.best_model_path)
    wanted = f'test_{comparison.metric}'
    if wanted not in metrics:
        raise ComparisonError(f'the test logs no {wanted!r}{did_you_mean(wanted, metrics)}')
    return RunRecord(
        **asdict(key),
        metrics=metrics,
        curve=curves.curve,
        validation=curves.validation,
        parameters=sum(each.numel() for each in task.parameters()),
        trained=sum(each.numel() for each in task.parameters() if each.requires_grad),
        seconds=time.monotonic() - began,
        training_seconds=training_seconds,
        image_ms=speed.image_ms,
        configuration=comparison.configuration(key.initialisation),
        metric=comparison.metric,
        mode=comparison.mode,
        task=comparison.task,
    )


def _load(comparison: ComparisonConfig, task: Any, start: Start) -> list[Callback]:
    """Load an initialisation into the fit's model; what makes sure that training starts from it."""
    backbone = Backbone.of(task, comparison.material.spec)
    if start.spec is not None:
        task.weights = start.spec.url  # What candidates are drawn of.
    if start.tensors is None:
        return []
    backbone.load(start.tensors)
    return [CheckStart(backbone, start.tensors)]


def _method(comparison: ComparisonConfig, key: RunKey, task: LightningModule) -> list[Callback]:
    """What conditions and freezes, as a run is asked to."""
    found: list[Callback] = [ConditionBatchNorm()] if key.conditioned else []
    if key.method == 'linear_probe':
        if key.initialisation in comparison.models:
            found.append(FreezeBackbone(*pretrained_part(task)))
        else:
            backbone = Backbone.of(task, comparison.material.spec)
            found.append(FreezeBackbone(backbone.module, backbone.names.keys()))
    return found


def _test(trainer: Trainer, built: LightningCLI, best: str) -> dict[str, float]:
    """The metrics of the test, of the best checkpoint where there is one."""
    (metrics,) = trainer.test(
        built.model, datamodule=built.datamodule, ckpt_path=best or None, verbose=False
    )
    return {name: float(value) for name, value in metrics.items()}


def _teach(comparison: ComparisonConfig, key: RunKey) -> Distil:
    options = comparison.distillation
    return Distil(train_teacher(comparison, key), options.temperature, options.share)
