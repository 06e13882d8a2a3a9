"""The verdict: one paragraph written from the numbers, and from nothing else."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from torchgeo_geosane.compare.results import Comparison, Results, Setting


@dataclass(frozen=True)
class Aim:
    """What generated weights are asked to show.

    Attributes:
        against: The initialisation to be compared with.
        margin: How much better the mean shall be at least, in units of the metric.
    """

    against: str
    margin: float = 0.0


# The paper's claims: generated weights beat scratch and the prompt, and a small model generated
# directly beats one that is pruned or distilled.
AIMS = (Aim('prompt'), Aim('scratch', 0.05), Aim('pruned'), Aim('distilled'))
_GENERATED = 'generated'


def write_verdict(
    results: Results, aims: Sequence[Aim] = AIMS, models: Collection[str] = ()
) -> str:
    """Say what the results show about generated weights, in one paragraph of plain text.

    Args:
        results: Of the comparison.
        aims: What generated weights are asked to show, as far as the runs asked for can show it.
            Judged in the first setting.
        models: Which of the initialisations are other models: what they are better than is said.
    """
    return ' '.join(_sentences(results, aims, models))


def format_estimate(mean: float, low: float, high: float, sign: bool = False) -> str:
    """A mean with its interval, ``0.281 [0.265, 0.297]``."""
    form = '+.3f' if sign else '.3f'
    interval = f' [{low:{form}}, {high:{form}}]' if low == low else ''  # noqa: PLR0124 - NaN
    return f'{mean:{form}}{interval}'


def format_difference(comparison: Comparison) -> str:
    """A mean difference with its interval, ``+0.016 [+0.004, +0.028]``."""
    mean = comparison.difference.mean
    return format_estimate(mean.mean, mean.low, mean.high, sign=True)


def _sentences(results: Results, aims: Sequence[Aim], models: Collection[str]) -> Iterator[str]:
    main = results.settings[0]
    aims = [aim for aim in aims if aim.against in results.initialisations]
    yield _ranking(results, main)
    own = [name for name in results.initialisations if name not in models]
    generated = [name for name in own if name.startswith(_GENERATED)]
    if not generated and not models:
        yield 'No run started from generated weights, so nothing is said about them.'
    if generated and not aims:
        yield 'Nothing was run that generated weights could be compared with.'
    for name in generated:
        for aim in aims:
            yield _judge(results, main, name, aim)
    for comparison in results.comparisons:
        if (
            comparison.setting == main
            and comparison.difference.by_seed
            and comparison.first in models
        ):
            yield f'{_relate(comparison)}{_few(comparison)}.'
    for name in generated:
        yield from _elsewhere(results, name, aims)
    if results.lacking:
        count = len(results.lacking)
        runs = f'{count} run is' if count == 1 else f'{count} runs are'
        yield f'These are partial results: {runs} lacking.'


def _ranking(results: Results, setting: Setting) -> str:
    """The best mean and who has it, and how many seeds there were."""
    means = {
        name: results.mean(setting, name)
        for name in results.initialisations
        if (setting, name) in results.values
    }
    if not means:
        return f'No run has finished with {setting.title}.'
    choose = max if results.mode == 'max' else min
    best = choose(means, key=lambda name: means[name].mean)
    counts = sorted({mean.count for mean in means.values()})
    seeds = ' to '.join(str(count) for count in dict.fromkeys([counts[0], counts[-1]]))
    top = means[best]
    return (
        f'With {setting.title}, over {seeds} {"seed" if counts == [1] else "seeds"}, the best mean '
        f'{results.metric} is that of {best}: {format_estimate(top.mean, top.low, top.high)}.'
    )


def _judge(results: Results, setting: Setting, name: str, aim: Aim) -> str:
    comparison = results.find(setting, name, aim.against)
    if comparison is None or not comparison.difference.by_seed:
        return f'{name} was not compared with {aim.against}.'
    return f'{_relate(comparison)}: {_verdict_on(comparison, aim)}{_few(comparison)}.'


def _relate(comparison: Comparison) -> str:
    """Which of two is better, and the numbers that say so."""
    difference = comparison.difference
    count = len(difference.by_seed)
    told_apart = comparison.outcome != 'cannot be told apart'
    relation = f'is {comparison.outcome} than' if told_apart else 'cannot be told apart from'
    return (
        f'{comparison.first} {relation} {comparison.second} (mean difference '
        f'{format_difference(comparison)}, wins {100 * difference.wins:.0f} % of '
        f'{count} {"pair" if count == 1 else "pairs"}, adjusted p {comparison.p_adjusted:.2g})'
    )


def _few(comparison: Comparison) -> str:
    few = '; so few pairs cannot tell any difference from chance'
    return '' if comparison.decidable else few


def _verdict_on(comparison: Comparison, aim: Aim) -> str:
    margin = f'better by at least {aim.margin:g}' if aim.margin else 'at least as good'
    if comparison.outcome == 'better':
        met = comparison.difference.mean.mean >= aim.margin
        return f'the aim, {margin}, is {"met" if met else "not met"}'
    if comparison.outcome == 'worse':
        return f'the aim, {margin}, is not met'
    return f'the aim, {margin}, is not shown'


def _elsewhere(results: Results, name: str, aims: Sequence[Aim]) -> Iterator[str]:
    """In how many of the other settings it is better or worse than each reference."""
    counts = []
    for aim in aims:
        found = [results.find(setting, name, aim.against) for setting in results.settings[1:]]
        outcomes = [comparison.outcome for comparison in found if comparison]
        if outcomes:
            better, worse = outcomes.count('better'), outcomes.count('worse')
            counts.append(
                f'better than {aim.against} in {better}, worse in {worse}, and not to be told apart '
                f'in {len(outcomes) - better - worse} of {len(outcomes)}'
            )
    if counts:
        yield f'In the other settings, {name} is {"; ".join(counts)}.'
