"""The record of a selection: every candidate with its score, and how it was found."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from torchgeo_geosane.atomic import replacing
from torchgeo_geosane.callbacks.probe import Measure, Probe


@dataclass(frozen=True)
class Scored:
    """One candidate: the URL and the key of its weights, and its score."""

    url: str
    key: str
    score: float


@dataclass(frozen=True)
class Choice:
    """Which weights a training started from, and why.

    Attributes:
        candidates: All of them, best first.
        kept: How many of the best were averaged; 1 where the best was kept as it is.
        average: The score of the average, None where there is none.
        probe: The probe's kind.
        measure: What the scores are.
        batches: How many training batches were drawn at most.
        images: How many images that were; half of them fitted the probe, half scored it.
        seed: Which half is which.
    """

    candidates: tuple[Scored, ...]
    kept: int
    average: float | None
    probe: Probe
    measure: Measure
    batches: int
    images: int
    seed: int

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> 'Choice':
        """What ``asdict`` gave."""
        candidates = tuple(Scored(**candidate) for candidate in values['candidates'])
        return cls(**{**values, 'candidates': candidates})


def report(choice: Choice) -> None:
    """Log all scores, best first."""
    rows = [
        f'  {place:5d}  {one.score:6.3f}  {"kept" if place <= choice.kept else "    "}  {one.url}'
        for place, one in enumerate(choice.candidates, 1)
    ]
    if choice.average is not None:
        rows.append(f'   mean  {choice.average:6.3f}  of the {choice.kept} kept')
    rank_zero_info(
        f'{len(choice.candidates)} candidates, ranked by a {choice.probe} probe on {choice.images} '
        f'training images ({choice.measure}):\n' + '\n'.join(rows)
    )
    if choice.candidates[0].score == choice.candidates[-1].score:
        rank_zero_warn(
            f'the {choice.probe} probe cannot tell the candidates apart: all score '
            f'{choice.candidates[0].score:.3f}. Give it more batches, or take the other probe'
        )


def write(path: Path, choice: Choice) -> None:
    """Write a choice as JSON; the file appears whole or not at all.

    Raises:
        CacheError: If the disk refuses.
    """
    with replacing(path) as provisional:
        provisional.write_text(json.dumps(asdict(choice), indent=2) + '\n')
