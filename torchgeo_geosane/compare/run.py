"""One run: build the task, load the start, train, test, record."""

import copy
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from jsonargparse import ArgumentError
from lightning.pytorch import Callback, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningCLI
from torchgeo.datamodules import BaseDataModule

from torchgeo_geosane.callbacks import ConditionBatchNorm
from torchgeo_geosane.callbacks.backbone import Backbone
from torchgeo_geosane.compare.config import ComparisonConfig
from torchgeo_geosane.compare.initialisations import INITIALISATIONS
from torchgeo_geosane.compare.record import RunKey, RunRecord
from torchgeo_geosane.compare.watch import CheckStart, FreezeBackbone, RecordCurves
from torchgeo_geosane.errors import ComparisonError, did_you_mean
from torchgeo_geosane.tasks.versions import BaseTask

# Of the fit's callbacks, those that the comparison has itself, or that write files.
_OWN = ('ModelCheckpoint', 'ConditionBatchNorm', 'SelectCandidates', 'SegmentationFigure')


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
    start = INITIALISATIONS[key.initialisation].make(comparison.material, key.seed)
    with tempfile.TemporaryDirectory(prefix='geosane-compare-') as folder:
        best = ModelCheckpoint(
            folder,
            monitor=f'val_{comparison.metric}',
            mode=comparison.mode,
            save_weights_only=True,
        )
        curves = RecordCurves(f'val_{comparison.metric}')
        built = _build(comparison, key, Path(folder), [best, curves])
        task, trainer = built.model, built.trainer
        backbone = Backbone.of(task, comparison.material.spec)
        if start.tensors is not None:
            backbone.load(start.tensors)
            trainer.callbacks.insert(0, CheckStart(backbone, start.tensors))
        if start.spec is not None:
            task.weights = start.spec.url  # What candidates are drawn of.
        first: list[Callback] = [*start.callbacks]
        if key.conditioned:
            first.append(ConditionBatchNorm())
        if key.method == 'linear_probe':
            first.append(FreezeBackbone(backbone))
        # Lightning wants checkpoints last.
        trainer.callbacks[-1:-1] = first
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
    )


def _build(
    comparison: ComparisonConfig, key: RunKey, folder: Path, callbacks: list[Callback]
) -> LightningCLI:
    """Build task, data module and trainer from the fit, as the command ``fit`` would."""
    fit = copy.deepcopy(comparison.fit)
    fit['seed_everything'] = key.seed
    fit['model'].setdefault('init_args', {})['weights'] = None
    if key.fraction != 1:
        fit['data'].setdefault('init_args', {})['train_fraction'] = key.fraction
    trainer = fit['trainer'] = dict(fit.get('trainer') or {})
    trainer |= {
        'logger': False,
        'enable_progress_bar': False,
        'enable_model_summary': False,
        'default_root_dir': str(folder),
        'callbacks': [
            each
            for each in trainer.get('callbacks') or []
            if each['class_path'].rpartition('.')[2] not in _OWN
        ],
    }
    try:
        return LightningCLI(
            BaseTask,
            BaseDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_callback=None,
            trainer_defaults={'callbacks': callbacks},
            parser_kwargs={'exit_on_error': False},
            args=fit,
            run=False,
        )
    except (ArgumentError, ValueError) as error:
        raise ComparisonError(f'the fit cannot be built: {error}') from error
