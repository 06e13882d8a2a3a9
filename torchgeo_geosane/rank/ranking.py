"""Ranking: draw training images, observe all weights on them, score, compare, report."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torchgeo_geosane.callbacks.probe import Measure, Probe
from torchgeo_geosane.errors import GeoSANEError, PromptError
from torchgeo_geosane.prompts.network import require_answer
from torchgeo_geosane.rank.contenders import Contender, find_contenders
from torchgeo_geosane.rank.features import Observed, observe
from torchgeo_geosane.rank.mixing import Pair, pairs
from torchgeo_geosane.rank.scoring import Score, score
from torchgeo_geosane.rank.training_data import TrainingData, draw
from torchgeo_geosane.rank.wanted import Wanted

Say = Callable[[str], None]

# Pairs grow with the square; the best are what one would mix.
_MIXED = 12


@dataclass(frozen=True)
class Ranked:
    """Weights with their scores.

    Attributes:
        contender: The weights.
        scores: By probe.
        milliseconds: Time an image takes on this machine.
        size: Bytes of its prompts' files.
        is_as_good: Whether the best of all is not better beyond doubt.
    """

    contender: Contender
    scores: Mapping[Probe, Score]
    milliseconds: float
    size: int
    is_as_good: bool = False


@dataclass(frozen=True)
class Ranking:
    """All weights that compete, the best first.

    Attributes:
        ranked: The weights.
        skipped: What could not be ranked, and why.
        pairs: How the best of them go together, see :func:`torchgeo_geosane.rank.mixing.pairs`.
        data: What they were judged on.
        wanted: What was asked for.
        seconds: How long it took.
    """

    ranked: tuple[Ranked, ...]
    skipped: Mapping[str, str]
    pairs: tuple[Pair, ...]
    data: TrainingData
    wanted: Wanted
    seconds: float

    @property
    def measure(self) -> Measure:
        """What the scores are."""
        return self.data.examples.measure


def rank(fit: Mapping[str, Any], wanted: Wanted | None = None, say: Say = print) -> Ranking:
    """Rank weights by what probes make of their features on training data; nothing is trained.

    Args:
        fit: Task and data, as the command ``fit`` takes them.
        wanted: Which weights; by default all that fit.
        say: Told of the progress.

    Raises:
        GeoSANEError: If the fit has no training data or labels, or no weights could be ranked.
    """
    wanted = wanted or Wanted()
    began = time.monotonic()
    data = draw(fit, wanted.batches, wanted.seed, wanted.sensor)
    say(f'{data.count} training images, {data.sensor.name}; judged by {data.examples.measure}')
    found, skipped = find_contenders(wanted, data)
    here, lacking = _split_by_presence(found, wanted.offline)
    skipped |= lacking
    ranked, observed = [], {}
    for number, contender in enumerate(here, 1):
        label = f'[{number}/{len(here)}] {contender.name}'
        started = time.monotonic()
        try:
            seen = observe(contender.spec, data)
            scores = score(seen, data, wanted.splits)
        except GeoSANEError as error:
            skipped[contender.name] = str(error)
            say(f'{label}: skipped: {error}')
            continue
        observed[contender.spec.url] = seen
        ranked.append(Ranked(contender, scores, seen.milliseconds, contender.bytes_here() or 0))
        told = f'{scores[wanted.probe].mean:.3f} ± {scores[wanted.probe].reach:.3f}'
        say(f'{label}: {told} ({time.monotonic() - started:.0f} s)')
    if not ranked:
        why = '\n'.join(f'  {name}: {reason}' for name, reason in skipped.items())
        raise PromptError(f'no weights could be ranked:\n{why}')
    ordered = _ordered(ranked, wanted.probe)
    best = [each.contender for each in ordered if each.contender.kind != 'random'][:_MIXED]
    together = _pairs(best, observed)
    seconds = time.monotonic() - began
    return Ranking(tuple(ordered), skipped, tuple(together), data, wanted, seconds)


def _split_by_presence(
    found: list[Contender], offline: bool
) -> tuple[list[Contender], dict[str, str]]:
    """What can be ranked, and what would have to be fetched and cannot be."""
    absent = [each for each in found if each.bytes_here() is None]
    why = '' if not absent else 'not on this machine (--offline)' if offline else _why_no_network()
    if not why:
        return found, {}
    return [each for each in found if each not in absent], {each.name: why for each in absent}


def _why_no_network() -> str:
    """Why nothing can be fetched; '' where the Hub answers. Asked once, for all."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return 'not on this machine, and HF_HUB_OFFLINE is set'
    try:
        require_answer(constants.ENDPOINT)
    except OSError as error:
        return f'not on this machine, and the Hub does not answer ({error})'
    return ''


def _ordered(ranked: list[Ranked], probe: Probe) -> list[Ranked]:
    ordered = sorted(ranked, key=lambda each: -each.scores[probe].mean)
    best = ordered[0].scores[probe]
    return [
        Ranked(
            each.contender,
            each.scores,
            each.milliseconds,
            each.size,
            not each.scores[probe].is_below(best),
        )
        for each in ordered
    ]


def _pairs(best: list[Contender], observed: Mapping[str, Observed]) -> list[Pair]:
    return pairs(best, observed) if len(best) > 1 else []
