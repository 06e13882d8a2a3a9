"""The record of one run: what was asked, what came out. One JSON file a run."""

import dataclasses
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from torchgeo_geosane.atomic import replacing
from torchgeo_geosane.errors import CacheError

Method = Literal['finetune', 'linear_probe']
METHODS: tuple[Method, ...] = get_args(Method)
Mode = Literal['max', 'min']
Curve = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class RunKey:
    """What tells a run of a comparison from the others.

    Attributes:
        initialisation: Name of the initialisation, e.g. ``scratch``.
        seed: Of the run; runs of one seed are paired.
        fraction: Of the training data, above 0, up to 1.
        method: ``finetune`` trains all weights, ``linear_probe`` all but the backbone's.
        conditioned: Whether BatchNorm is conditioned on the data before training.
    """

    initialisation: str
    seed: int
    fraction: float = 1.0
    method: Method = 'finetune'
    conditioned: bool = False

    @property
    def name(self) -> str:
        """A file name for it, without a suffix; other keys have other names."""
        start = re.sub(r'[^\w.-]', '_', self.initialisation)
        end = '-conditioned' if self.conditioned else ''
        return f'{start}-{self.method}-fraction{self.fraction:g}{end}-seed{self.seed}'


@dataclass(frozen=True)
class RunRecord(RunKey):
    """A finished run.

    Attributes:
        metrics: Of the test, by Lightning's names, e.g. ``test_mIoU``.
        curve: Training loss: ``(step, loss)``.
        validation: The monitored metric: ``(step, value)``.
        parameters: How many the whole model has.
        trained: How many of them are trained.
        seconds: Wall-clock time of the run: start, training and test.
        training_seconds: Of the training alone, with its validations.
        image_ms: Milliseconds that the trained model takes for an image of the test, in a batch as
            the test has them: the fastest of five.
        configuration: Hash of all that determines the result, apart from the key.
        metric: What the comparison compares by, without ``test_``, e.g. ``mIoU``.
        mode: Whether more (``max``) or less (``min``) of it is better.
        task: Hash of what all starts of a comparison share: data, model, budget and metric.
    """

    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    curve: Curve = ()
    validation: Curve = ()
    parameters: int = 0
    trained: int = 0
    seconds: float = 0.0
    training_seconds: float = 0.0
    image_ms: float = 0.0
    configuration: str = ''
    metric: str = ''
    mode: Mode = 'max'
    task: str = ''

    @property
    def key(self) -> RunKey:
        """The key alone."""
        return RunKey(**{field.name: getattr(self, field.name) for field in _KEY_FIELDS})

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> 'RunRecord':
        """What JSON gave.

        Raises:
            ValueError: If a number is none, or the mode unknown; TypeError and KeyError alike.
        """
        if values.get('mode', 'max') not in get_args(Mode):
            raise ValueError(f'its mode is {values["mode"]!r}, neither max nor min')
        metrics = {name: float(value) for name, value in values['metrics'].items()}
        curves = {
            name: tuple((int(step), float(value)) for step, value in values[name])
            for name in ('curve', 'validation')
        }
        return cls(**{**values, **curves, 'metrics': metrics})


_KEY_FIELDS = dataclasses.fields(RunKey)


def write_record(folder: Path, record: RunRecord) -> Path:
    """Write a record into a folder; the file appears whole or not at all.

    Raises:
        CacheError: If the disk refuses.
    """
    path = folder / f'{record.key.name}.json'
    with replacing(path) as provisional:
        provisional.write_text(json.dumps(dataclasses.asdict(record)) + '\n', encoding='utf-8')
    return path


def read_record(path: Path) -> RunRecord:
    """Read what ``write_record`` wrote.

    Raises:
        CacheError: If the file is missing or is no record.
    """
    try:
        return RunRecord.from_dict(json.loads(path.read_text(encoding='utf-8')))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CacheError(f'{path} is not a record of a run: {error}; delete it') from error


def read_records(folder: Path) -> list[RunRecord]:
    """All records of a folder, in the order of their names.

    Raises:
        CacheError: If a file is no record.
    """
    return [read_record(path) for path in _files(folder)]


def _files(folder: Path) -> Iterable[Path]:
    return sorted(folder.glob('*.json'))
