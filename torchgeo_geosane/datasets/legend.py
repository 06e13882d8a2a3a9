"""What the values of labels mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from torchgeo_geosane.datasets.no_data import holdable
from torchgeo_geosane.errors import DataError

Value = int | float | bool | str

IGNORE_INDEX = 255
"""Label of pixels that have none; losses and metrics skip it. More than 255 classes have -1."""

_UNKNOWN = -2
_TRUTH = {'true': True, '1': True, 'false': False, '0': False}


@dataclass(frozen=True)
class Legend:
    """What the values of labels mean.

    Attributes:
        classes: Class name to value, in the order of the class indices.
        ignored: Values that count as no label.
        are_names: Whether only names were given: they are the values of a column, and rasters
            count them from 0.
    """

    classes: Mapping[str, Value]
    ignored: tuple[Value, ...] = ()
    are_names: bool = False

    @classmethod
    def of(
        cls, classes: Sequence[str | int] | Mapping[str, Value], ignored: Sequence[Value]
    ) -> 'Legend':
        """From names alone, or from names and values.

        Names that are whole numbers are values, in rasters too.

        Raises:
            DataError: If there is no class, two have one value, or a value is ignored, too.
        """
        values = dict(classes) if isinstance(classes, Mapping) else {str(n): n for n in classes}
        values = {str(name): name if value is None else value for name, value in values.items()}
        numbers = [_number(value) for value in values.values()]
        are_names = all(name == value for name, value in values.items()) and None in numbers
        spellings = [
            str(value) if number is None else str(number)
            for value, number in zip(values.values(), numbers, strict=True)
        ]
        if not values or len(set(spellings)) < len(values) or len(values) < len(classes):
            raise DataError(f'classes {values} are none, or two have one value: name each')
        legend = cls(values, tuple(ignored), are_names)
        named = {name for name, value in values.items() if value in ignored}
        named |= {
            name
            for name, at in zip(values, range(len(values)), strict=True)
            if are_names and at in {_number(value) for value in ignored}
        }
        if named:
            raise DataError(
                f'the value of {sorted(named)[0]!r} is a class and ignored: take it out of one of '
                'the two, or map names to values'
            )
        return legend

    @property
    def ignore_index(self) -> int:
        """Class index of pixels without label: 255, or -1 where there are more than 255 classes."""
        return IGNORE_INDEX if len(self.classes) <= IGNORE_INDEX else -1

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest type that holds all class indices."""
        return np.dtype(np.uint8 if self.ignore_index == IGNORE_INDEX else np.int32)

    @cached_property
    def numbers(self) -> dict[int | float, int]:
        """Value in a raster to class index.

        Raises:
            DataError: If a class has a value that is no number.
        """
        if self.are_names:
            known: dict[int | float, int] = {at: at for at in range(len(self.classes))}
        else:
            known = {}
            for at, (name, value) in enumerate(self.classes.items()):
                number = _number(value)
                if number is None:
                    raise DataError(
                        f'class {name!r} has the value {value!r}, but rasters hold numbers: map '
                        'each name to its number'
                    )
                known[number] = at
        ignored = (_number(value) for value in self.ignored)
        return known | {number: self.ignore_index for number in ignored if number is not None}

    def of_pixels(
        self, values: NDArray[Any], nodata: float | None, source: str
    ) -> NDArray[np.integer[Any]]:
        """Class indices of a raster's values, compared in their own type.

        Args:
            values: Of any type and shape.
            nodata: The file's value for no data, which is no label unless the legend names it.
            source: The file, for the message.

        Raises:
            DataError: If there is a value that the legend does not know.
        """
        keys, indices = self._in(values.dtype)
        at = np.minimum(np.searchsorted(keys, values), len(keys) - 1)
        found = np.where(keys[at] == values, indices[at], _UNKNOWN)
        unknown = found == _UNKNOWN
        if unknown.any():
            no_label = np.zeros(values.shape, bool)
            if holdable(nodata, values.dtype) is not None:
                no_label |= values == np.array(nodata).astype(values.dtype)
            if values.dtype.kind == 'f':
                no_label |= np.isnan(values)
            found[unknown & no_label] = self.ignore_index
            _refuse(source, np.unique(values[unknown & ~no_label]).tolist(), list(self.numbers))
        return found.astype(self.dtype)

    def _in(self, dtype: np.dtype[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """The values that a type holds, ascending, and their class indices; never none."""
        if dtype.kind == 'f':
            held = {key: at for key, at in self.numbers.items() if float(dtype.type(key)) == key}
        else:
            limits = np.iinfo(dtype)
            held = {
                key: at
                for key, at in self.numbers.items()
                if isinstance(key, int) and limits.min <= key <= limits.max
            }
        keys = sorted(held)
        indices = np.array([held[key] for key in keys] or [_UNKNOWN], np.int64)
        return np.array(keys or [0], dtype), indices

    def of_column(self, values: 'pd.Series[Any]', source: str) -> NDArray[np.int64]:
        """Class indices of a column's values; what is null has no label.

        Numbers are compared as numbers, so that 1.0 is 1; truth values as such; all else as text.

        Args:
            values: The column.
            source: The file, for the message.

        Raises:
            DataError: If there is a value that the legend does not know.
        """
        null = values.isna().to_numpy()
        present = values[~null]
        if pd.api.types.is_bool_dtype(present.infer_objects()):
            known: Mapping[Any, int] = {
                _TRUTH[text]: at for text, at in self._texts(str.lower).items() if text in _TRUTH
            }
            keys: list[Any] = [bool(value) for value in present]
        elif pd.api.types.is_numeric_dtype(present):
            known = {} if self.are_names else self.numbers
            keys = [_number(value) for value in present.tolist()]
        else:
            known = self._texts(str)
            keys = [str(value) for value in present]
        _refuse(source, sorted(set(keys) - set(known)), list(known) or list(self.classes))
        indices = np.full(len(values), self.ignore_index, np.int64)
        indices[~null] = [known[key] for key in keys]
        return indices

    def _texts(self, spelt: Any) -> dict[Any, int]:
        known = {spelt(str(value)): at for at, value in enumerate(self.classes.values())}
        return known | {spelt(str(value)): self.ignore_index for value in self.ignored}


def _number(value: object) -> int | float | None:
    """A value as a whole number where it is one, else as a float, or None where it is text."""
    if isinstance(value, bool | int):
        return int(value)
    text = str(value)
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return None
    return int(number) if number.is_integer() else number


def _refuse(source: str, found: Sequence[object], expected: Sequence[object]) -> None:
    """Say which values a legend does not know, if any."""
    if found:
        shown = ', '.join(str(value) for value in found[:5]) + ', …' * (len(found) > 5)
        known = ', '.join(str(value) for value in expected[:20]) + ', …' * (len(expected) > 20)
        raise DataError(
            f'{source} holds the labels {shown}, expected {known}: add them to classes or to ignored'
        )
