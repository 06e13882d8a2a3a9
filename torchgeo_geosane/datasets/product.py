"""A kind of names of products: what a row of the table of them says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Radar = Literal['dB', 'linear', 'amplitude', 'complex']
"""What radar files hold: dB, power, its square root, or numbers whose squared size it is."""


@dataclass(frozen=True)
class Product:
    """A kind of name.

    Attributes:
        title: What has such names.
        pattern: Pattern of the name; see the module.
        example: A real name.
        sensors: How the names of the sensors begin that can read it; none says nothing.
        times: Format of ``start`` and ``end``, as of ``strptime``; more than one is tried in turn.
        orders: Bands of its files by their number, where the product's definition says so.
        scale: Reflectance, kelvin or dB of one digital number, with ``offset``; None is not known.
        offset: What is added after that.
        radar: What values are: ``'dB'``, ``'linear'``, ``'amplitude'``, ``'complex'``, or unknown.
        dtype: How the files' type begins as they are delivered: values of another were converted, and
            may be anything. Nothing says nothing.
    """

    title: str
    pattern: str
    example: str
    sensors: tuple[str, ...] = ()
    times: tuple[str, ...] = ('%Y%m%d',)
    orders: Mapping[int, Sequence[str]] = field(default_factory=dict)
    scale: float | None = None
    offset: float = 0.0
    radar: Radar | None = None
    dtype: str = ''
