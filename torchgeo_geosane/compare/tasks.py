"""The results of several comparisons, each of one task, read from their folders."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torchgeo_geosane.compare.record import RunRecord, read_records
from torchgeo_geosane.compare.results import Results
from torchgeo_geosane.compare.schedule import RUNS
from torchgeo_geosane.errors import ComparisonError

_PICKLED = {'.pkl', '.pickle', '.hdf5', '.h5'}
_V1 = 'task_specs.pkl'


@dataclass(frozen=True)
class Task:
    """One task and its results.

    Attributes:
        name: What it is called in the aggregate.
        folder: Where its records lie.
        results: What its runs say.
    """

    name: str
    folder: Path
    results: Results


def read_tasks(runs: Sequence[str]) -> list[Task]:
    """Read the records of several comparisons.

    Args:
        runs: Output folders of ``compare``, or ``NAME=FOLDER``; without a name, that of the folder.

    Raises:
        ComparisonError: If there is one task only, one is given twice, or the records of a folder are
            of different metrics, data or budgets.
        CacheError: If a record is damaged.
    """
    named = [_split(each) for each in runs]
    if len(named) < 2:
        raise ComparisonError(
            'an aggregate wants the results of 2 or more tasks; of one task, `compare` writes the report'
        )
    if twice := _twice(name for name, _ in named):
        raise ComparisonError(f'two tasks are called {twice!r}: name them, as NAME=FOLDER')
    records = {name: _read(folder) for name, folder in named}
    identities = {name: each[0].task for name, each in records.items()}
    if twice := _twice(identities.values()):
        same = [name for name, identity in identities.items() if identity == twice]
        raise ComparisonError(
            f'{" and ".join(same)} are one task: the same fit and metric; give one'
        )
    return [_task(name, folder, records[name]) for name, folder in named]


def _split(given: str) -> tuple[str, Path]:
    name, equals, folder = given.partition('=')
    if equals and name and not Path(given).exists():
        return name, Path(folder)
    return Path(given).resolve().name, Path(given)


def _twice(names: Iterable[str]) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)


def _read(folder: Path) -> list[RunRecord]:
    pickled = folder.suffix.lower() in _PICKLED
    if pickled or any(any(folder.glob(f'{deep}{_V1}')) for deep in ('', '*/', '*/*/')):
        raise ComparisonError(
            f'{folder} is of GEO-Bench v1, whose files hold pickles: reading one runs the code in it, so '
            'none is read. Use GEO-Bench-2, and give output folders of `compare`'
        )
    records = read_records(folder / RUNS)
    if not records:
        raise ComparisonError(
            f'{folder} has no finished run ({RUNS}/*.json): give output folders of `compare`'
        )
    for record in records:
        if not (record.metric and record.task):
            raise ComparisonError(
                f'{folder}: the record {record.key.name} does not say its metric and task: an older '
                'version made it. Give the command `compare` again, which notes them and repeats no run'
            )
    _agree(folder, 'metrics', {f'{record.metric} ({record.mode})' for record in records})
    _agree(folder, 'data, models or budgets', {record.task for record in records})
    for name in dict.fromkeys(record.initialisation for record in records):
        configurations = {r.configuration for r in records if r.initialisation == name}
        _agree(folder, f'configurations of {name}', configurations)
    return records


def _agree(folder: Path, what: str, found: Collection[str]) -> None:
    if len(found) > 1:
        raise ComparisonError(
            f'{folder} holds runs of different {what}: {", ".join(sorted(found))}. They are no one '
            'task: run the comparison again with one configuration, or delete the older records'
        )


def _task(name: str, folder: Path, records: Sequence[RunRecord]) -> Task:
    first = records[0]
    results = Results.of(records, f'test_{first.metric}', first.mode, references=())
    return Task(name, folder, results)
