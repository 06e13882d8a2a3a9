"""What a map holds: classes, labels, probabilities or values; as which numbers, in which colours."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from torchgeo_geosane.datasets.plotting import class_colours
from torchgeo_geosane.errors import DataError
from torchgeo_geosane.predict.blending import Strip
from torchgeo_geosane.predict.model import Kind

Stored = Literal['uint8', 'float16', 'float32']
"""Numbers that probabilities are stored as."""

_CERTAIN = 254
"""Probability 1 in a file of bytes; 255 is no data."""


@dataclass(frozen=True)
class Legend:
    """The classes of a map.

    Attributes:
        names: In the order of their indices.
        values: What stands for each in a file: what the labels had, where that were numbers.
    """

    names: tuple[str, ...]
    values: tuple[int, ...]

    @classmethod
    def of(cls, classes: Sequence[str] | Mapping[str, Any], kind: Kind, channels: int) -> 'Legend':
        """The classes that a data module names, checked against what a model gives.

        Args:
            classes: Names, or name to the labels' value; empty where nobody names any.
            kind: What the model says of a pixel.
            channels: How many numbers it gives for each.

        Raises:
            DataError: If the model tells apart another number of classes.
        """
        wanted = 2 if kind == 'binary' else channels
        names = tuple(classes) or tuple(f'class {number}' for number in range(wanted))
        if len(names) != wanted:
            raise DataError(
                f'the model tells {wanted} classes apart, but the config names {len(names)} '
                f'({", ".join(names)}): give the config that it was trained with'
            )
        values = list(classes.values()) if isinstance(classes, Mapping) else []
        numbers = [value for value in values if type(value) is int and 0 <= value < 65535]
        return cls(names, tuple(numbers) if len(numbers) == wanted else tuple(range(wanted)))

    @property
    def colours(self) -> tuple[str, ...]:
        """One for each class, as figures of tests have them."""
        return tuple(class_colours(self.names))


@dataclass(frozen=True)
class Layers:
    """What the bands of a map hold.

    Attributes:
        bands: Their names.
        dtype: Type of their values; ``float32`` also where the file keeps half of the bits.
        nodata: What stands for no data.
        scale: What their values are to be multiplied by.
        legend: The classes, where each pixel has one.
        kind: What the model says of a pixel.
        half: Whether the file keeps 16 bits of each float.
    """

    bands: tuple[str, ...]
    dtype: str
    nodata: float
    scale: float
    legend: Legend | None
    kind: Kind
    half: bool = False

    @classmethod
    def of(
        cls, kind: Kind, channels: int, legend: Legend | None, probabilities: Stored | None = None
    ) -> 'Layers':
        """Choose them.

        Args:
            kind: What the model says of a pixel.
            channels: How many numbers it gives for each.
            legend: The classes; None for values.
            probabilities: As what to keep probabilities, one band a class; None for classes.

        Raises:
            DataError: If values are asked for as probabilities.
        """
        if kind == 'values' or legend is None:
            if probabilities is not None:
                raise DataError('the model gives values, not probabilities: leave the option out')
            bands = tuple(f'value {number}' for number in range(1, channels + 1))
            return cls(bands if channels > 1 else ('value',), 'float32', np.nan, 1.0, None, kind)
        names = legend.names[1:] if kind == 'binary' else legend.names
        if probabilities == 'uint8':
            return cls(names, 'uint8', 255, 1 / _CERTAIN, None, kind)
        if probabilities is not None:
            return cls(names, 'float32', np.nan, 1.0, None, kind, probabilities == 'float16')
        if kind == 'labels':
            return cls(names, 'uint8', 255, 1.0, None, kind)
        small = max(legend.values) < 255
        dtype, nodata = ('uint8', 255) if small else ('uint16', 65535)
        return cls(('class',), dtype, nodata, 1.0, legend, kind)

    def encode(self, strip: Strip) -> NDArray[Any]:
        """Rows as the file holds them, [bands, rows, width].

        Raises:
            DataError: If the model gave numbers that are none.
        """
        values = strip.values
        if not bool(torch.isfinite(values.sum())):
            raise DataError(
                'the model gives NaN or infinity: predict in another precision, bf16 or 32'
            )
        if self.legend is not None:
            # Over the first dimension max takes a fifth of the time of argmax.
            wanted = values.max(0).indices if self.kind != 'binary' else (values[0] > 0.5).long()
            table = np.array(self.legend.values, self.dtype)
            encoded = table[wanted.to(torch.uint8 if len(table) < 256 else torch.int64).cpu()][None]
        elif self.dtype == 'float32':
            # Rounded here, the file holds exactly what it is given.
            encoded = (values.half().float() if self.half else values).cpu().numpy()
        elif self.scale != 1:
            encoded = (values / self.scale).round().to(torch.uint8).cpu().numpy()
        else:
            encoded = (values > 0.5).to(torch.uint8).cpu().numpy()
        return np.where(strip.known.cpu().numpy(), encoded, np.array(self.nodata, self.dtype))
