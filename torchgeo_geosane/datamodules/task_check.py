"""Whether a task fits the data: what a data module knows is compared before the first step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lightning.pytorch import LightningDataModule

from torchgeo_geosane.errors import DataError

# Losses of TorchGeo that count pixels without label: its ignore_index does not reach them.
_COUNT_ALL = {'bce', 'jaccard'}
_MOST_NAMED = 10


@dataclass(frozen=True)
class Facts:
    """What data hold.

    Attributes:
        bands: Names of the channels; None where transforms may add some.
        classes: Names of the classes in the order of their indices; none where there are no labels.
        ignored: Class index of pixels without label; None where labels are not of pixels.
    """

    bands: Sequence[str] | None
    classes: Sequence[str] = ()
    ignored: int | None = None


def check_task(module: LightningDataModule, facts: Facts) -> None:
    """Compare the task that a data module is used with, if any, with what the data hold.

    Args:
        module: The data module.
        facts: What its data hold.

    Raises:
        DataError: If the task has another number of channels or classes, or would take pixels
            without label for a class; it says which argument to set.
    """
    task = getattr(module.trainer, 'lightning_module', None)
    arguments: Mapping[str, Any] = {} if task is None else task.hparams
    if facts.bands is not None:
        _check_channels(arguments, facts.bands)
    if facts.classes and 'num_classes' in arguments:
        _check_classes(arguments, facts)
    if facts.classes and facts.ignored is not None and 'ignore_index' in arguments:
        _check_ignored(arguments, facts.ignored)


def _check_channels(arguments: Mapping[str, Any], bands: Sequence[str]) -> None:
    expected = arguments.get('in_channels')
    if expected is not None and expected != len(bands):
        raise DataError(
            f'the data have {len(bands)} channels ({", ".join(bands)}), but the task has '
            f'in_channels={expected}: set in_channels: {len(bands)}, or choose bands'
        )


def _check_classes(arguments: Mapping[str, Any], facts: Facts) -> None:
    kind, count = arguments.get('task', 'multiclass'), len(facts.classes)
    named = ', '.join(facts.classes[:_MOST_NAMED]) + ', …' * (count > _MOST_NAMED)
    labels = f'the labels have {count} classes ({named})'
    if kind == 'binary' and count != 2:
        raise DataError(
            f'{labels}, but the task is binary: set task: multiclass and num_classes: {count}'
        )
    if kind == 'multilabel' and facts.ignored is not None:
        raise DataError(
            'the task is multilabel, but every pixel is of one class: set task: multiclass and '
            f'num_classes: {count}'
        )
    if kind == 'multiclass' and arguments['num_classes'] != count:
        raise DataError(
            f'{labels}, but the task has num_classes={arguments["num_classes"]}: '
            f'set num_classes: {count}'
        )


def _check_ignored(arguments: Mapping[str, Any], ignored: int) -> None:
    if arguments['ignore_index'] != ignored:
        raise DataError(
            f'pixels without label are {ignored}, but the task has '
            f'ignore_index={arguments["ignore_index"]}: set ignore_index: {ignored}'
        )
    loss = arguments.get('loss')
    if loss in _COUNT_ALL:
        instead = 'focal' if arguments.get('task') == 'binary' else 'ce or focal'
        raise DataError(
            f'loss {loss!r} cannot leave out pixels without label ({ignored}): set loss: {instead}'
        )
