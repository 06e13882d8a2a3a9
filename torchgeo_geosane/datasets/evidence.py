"""How something about a file was decided, kept beside what was decided."""

from dataclasses import dataclass
from enum import StrEnum


class How(StrEnum):
    """From the surest to the least sure.

    ``TOLD``: the user said it. ``STATED``: the file or its STAC item states it. ``NAMED``: the
    file's or the product's name says it. ``GUESSED``: nothing says it, this is usual.
    ``UNKNOWN``: nothing says it, and nothing was assumed.
    """

    TOLD = 'told'
    STATED = 'stated'
    NAMED = 'named'
    GUESSED = 'guessed'
    UNKNOWN = 'unknown'


@dataclass(frozen=True)
class Evidence:
    """Why something about a file is taken to be so.

    Where to find it: ``RasterFile.evidence`` has one for each band, ``Calibration.evidence`` one
    for the unit of each band, ``Acquisition.dated`` one for the time, and ``RasterFile.left_out``
    and ``Source.left_out`` name the bands and the files that are not read. All are reached from
    ``Imagery.stack.sources``.

    Attributes:
        how: How sure it is.
        found: What was found, to be read by a person, e.g. ``"described as 'B4 (Red)'"``.
    """

    how: How
    found: str

    @property
    def is_sure(self) -> bool:
        """Whether somebody says so; else a person should look at it."""
        return self.how not in {How.GUESSED, How.UNKNOWN}
