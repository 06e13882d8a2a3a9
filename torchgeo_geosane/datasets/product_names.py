"""What the names of products say, by the table of :mod:`~torchgeo_geosane.datasets.products`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

import pandas as pd

from torchgeo_geosane.datasets.product import Product
from torchgeo_geosane.datasets.products import PRODUCTS

Span = tuple[pd.Timestamp, pd.Timestamp]

_LENGTHS = {'%S': timedelta(seconds=1), '%M': timedelta(minutes=1), '%d': timedelta(days=1)}
_DATE = re.compile(
    r'(?<!\d)((?:19|20)\d\d)([-_.]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])'
    r'(?:T([01]\d|2[0-3])[:-]?([0-5]\d)[:-]?([0-5]\d))?(?!\d)'
)
_YEAR = re.compile(r'(?<![A-Za-z0-9])A?((?:19|20)\d\d[0-3]\d\d)(?:T(\d{6}))?(?!\d)')
_YEAR = re.compile(r'(?<![A-Za-z0-9])(19[7-9]\d|20[0-3]\d)(?![A-Za-z0-9])')
_TIME_TAGS = (
    'ACQUISITIONDATETIME',
    'ACQUISITION_DATETIME',
    'DATATAKE_1_DATATAKE_SENSING_START',
    'SENSING_TIME',
    'SENSING_START',
    'PRODUCT_START_TIME',
    'ACQUISITION_START_TIME',
    'ACQUISITION_DATE',
    'DATE_ACQUIRED',
)


@dataclass(frozen=True)
class Named:
    """What a name says by a row of the table.

    Attributes:
        product: The row.
        start: When the image was taken, or None where the name does not say.
        stop: When that ended.
        groups: Text of each group of the pattern.
        text: The name.
        rest: The name without what differs between the bands of an image.
    """

    product: Product
    start: pd.Timestamp | None
    stop: pd.Timestamp | None
    groups: Mapping[str, str]
    text: str
    rest: str


@lru_cache(maxsize=65536)
def named(name: str) -> Named | None:
    """The kind of a file's or folder's name, without its ending."""
    for product in PRODUCTS:
        match = re.search(product.pattern, name, re.IGNORECASE)
        if match is None:
            continue
        groups = {key: text for key, text in match.groupdict().items() if text}
        span = _span(groups, product.times)
        if 'start' in groups and span is None:
            continue  # The 31st of June is no date, and this no such product.
        cuts = [match.span(key) for key in ('band', 'number') if groups.get(key)]
        rest = name
        for begin, stop in sorted(cuts, reverse=True):
            rest = rest[:begin] + rest[stop:]
        start, end = span or (None, None)
        return Named(product, start, end, groups, name, rest)
    return None


def products_of(path: str) -> list[Named]:
    """What a path says, from the file's own name up to the folders around it."""
    parts = [Path(path).stem if '.' in Path(path).name else Path(path).name]
    parts += [re.sub(r'\.(?:safe|zip|tar)$', '', part) for part in Path(path).parent.parts[::-1]]
    return [found for part in parts if (found := named(part)) is not None]


def _span(groups: Mapping[str, str], formats: Sequence[str]) -> Span | None:
    """From the first instant to the last one that a name states."""
    found = [_instant(groups[key], formats) for key in ('start', 'end') if key in groups]
    if not found or None in found:
        return None
    first, last = found[0], found[-1]
    assert first is not None
    assert last is not None
    return (first[0], last[1]) if first[0] <= last[0] else first


def _instant(text: str, formats: Sequence[str]) -> Span | None:
    for form in formats:
        try:
            start = pd.Timestamp(datetime.strptime(text, form))
        except ValueError:
            continue
        if form.endswith('%j'):
            length = timedelta(days=1)
        elif form.endswith('%m'):
            length = pd.offsets.MonthBegin().rollforward(start + timedelta(days=1)) - start
        elif form == '%Y':
            length = pd.Timestamp(start.year + 1, 1, 1) - start
        else:
            length = _LENGTHS[form[-2:]]
        return start, start + length - pd.Timedelta(microseconds=1)
    return None


def stated_time(tags: Mapping[str, str]) -> Span | None:
    """When a file's tags say that it was taken; when it was written or processed does not count."""
    by_key = {key.upper(): text for key, text in tags.items()}
    for key in _TIME_TAGS:
        match = _DATE.search(by_key.get(key, ''))
        if match is not None:
            span = any_date(match[0])
            if span is not None:
                return span
    return None


def any_date(name: str) -> Span | None:
    """The first date in a name of no known kind: a day, a second, or a year.

    Where there are several, the first is when the image was taken; others are of processing.
    """
    for match in _DATE.finditer(name):
        year, _, month, day, *clock = match.groups()
        time = ''.join(clock) if all(clock) else ''
        span = _instant(f'{year}{month}{day}{time}', ('%Y%m%d%H%M%S' if time else '%Y%m%d',))
        if span is not None:
            return span
    years = _YEAR.findall(name)
    return _instant(years[0], ('%Y',)) if len(years) == 1 else None
