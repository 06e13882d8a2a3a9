"""From a fit, as the command ``fit`` takes it, to a task, a data module and a trainer."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError
from lightning.pytorch import Callback
from lightning.pytorch.cli import LightningCLI
from torchgeo.datamodules import BaseDataModule

from torchgeo_geosane.compare.record import RunKey
from torchgeo_geosane.errors import ComparisonError
from torchgeo_geosane.tasks.versions import BaseTask

# Of the fit's callbacks, those that the comparison has itself, or that write files.
_OWN = ('ModelCheckpoint', 'ConditionBatchNorm', 'SelectCandidates', 'SegmentationFigure')


def build(
    fit: Mapping[str, Any],
    key: RunKey,
    folder: Path,
    callbacks: list[Callback],
    changes: Mapping[str, Any] | None = None,
) -> LightningCLI:
    """Build task, data module and trainer from a fit, as the command ``fit`` would.

    Args:
        fit: Task, data and trainer.
        key: Its seed and share of the training data are used.
        folder: For what the trainer writes.
        callbacks: The comparison's own; the fit's come with them.
        changes: Arguments that make the fit's model another one.

    Raises:
        ComparisonError: If the fit is malformed.
    """
    arguments: dict[str, Any] = copy.deepcopy(dict(fit))
    arguments['seed_everything'] = key.seed
    arguments['model'].setdefault('init_args', {}).update({'weights': None, **(changes or {})})
    if key.fraction != 1:
        arguments['data'].setdefault('init_args', {})['train_fraction'] = key.fraction
    trainer = arguments['trainer'] = dict(arguments.get('trainer') or {})
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
            args=arguments,
            run=False,
        )
    except (ArgumentError, ValueError) as error:
        raise ComparisonError(f'the fit cannot be built: {error}') from error
