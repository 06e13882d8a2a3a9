"""The log of a training as a table that survives its interruptions."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from torchgeo_geosane.atomic import replacing
from torchgeo_geosane.errors import CacheError


class TrainingLog(Logger):
    """``training.csv``: a line for each measurement, a column for each number that was ever logged.

    Lightning's own CSV logger deletes what it finds; this one goes on after it.

    Attributes:
        path: The file; written by the first process only.
    """

    def __init__(self, path: Path, step: int | None = None) -> None:
        """Begin a log, or go on with one.

        Args:
            path: The file.
            step: The step that training goes on from: lines of later ones are dropped. None drops
                them all.
        """
        super().__init__()
        self.path = path
        self._columns = ['step']
        self._rewind(step)

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.path.name

    @property
    def version(self) -> None:
        """There is only one."""

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Hyperparameters are no part of the table."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Write one line.

        Raises:
            CacheError: If the disk refuses; the lines before stay.
        """
        if any(name not in self._columns for name in metrics):
            rows = self._read()
            self._columns += [name for name in metrics if name not in self._columns]
            self._write(rows)
        try:
            with self.path.open('a', newline='') as file:
                csv.DictWriter(file, self._columns).writerow({'step': step, **metrics})
        except OSError as error:
            raise CacheError(f'cannot write {self.path}: {error}') from error

    @rank_zero_only
    def _rewind(self, step: int | None) -> None:
        rows = [] if step is None else [row for row in self._read() if int(row['step']) <= step]
        if rows:
            self._columns = list(rows[0])
        self._write(rows)

    def _read(self) -> list[dict[str, str]]:
        if not self.path.exists():
            return []
        # A line without an end was being written when the process died.
        lines = self.path.read_text(encoding='utf-8').splitlines(keepends=True)
        return list(csv.DictReader(line for line in lines if line.endswith('\n')))

    def _write(self, rows: list[dict[str, str]]) -> None:
        text = io.StringIO(newline='')
        writer = csv.DictWriter(text, self._columns)
        writer.writeheader()
        writer.writerows(rows)
        with replacing(self.path) as provisional:
            provisional.write_bytes(text.getvalue().encode())
