import math
from dataclasses import replace

import pytest
from simulated import METRIC, simulate

from torchgeo_geosane.compare.results import Results, Setting
from torchgeo_geosane.compare.verdict import write_verdict
from torchgeo_geosane.errors import SpecError

MEANS = {'scratch': 0.15, 'prompt': 0.25, 'generated': 0.28}
FULL = Setting(1.0, 'finetune', False)


def outcome(results: Results, first: str, second: str) -> str:
    comparison = results.find(FULL, first, second)
    assert comparison is not None
    return comparison.outcome


def test_every_initialisation_against_every_reference_once() -> None:
    results = Results.of(simulate(MEANS), METRIC)
    assert {(c.first, c.second) for c in results.comparisons} == {
        ('prompt', 'scratch'),
        ('generated', 'scratch'),
        ('generated', 'prompt'),
    }
    assert {c.outcome for c in results.comparisons} == {'better'}


def test_differences_are_paired_by_seed() -> None:
    """Seeds differ five times as much as the two starts do: only pairs can tell them apart."""
    results = Results.of(simulate({'prompt': 0.25, 'generated': 0.26}, noise=0.001), METRIC)
    assert results.mean(FULL, 'prompt').std > 0.03
    assert outcome(results, 'generated', 'prompt') == 'better'


def test_where_less_is_better_signs_turn() -> None:
    results = Results.of(simulate(MEANS), 'test_loss', 'min')
    assert outcome(results, 'generated', 'scratch') == 'better'
    comparison = results.find(FULL, 'generated', 'scratch')
    assert comparison is not None
    assert comparison.difference.mean.mean == pytest.approx(0.13, abs=0.02)
    assert 'the best mean test_loss is that of generated' in write_verdict(results)


def test_equal_starts_are_rarely_told_apart() -> None:
    """Seven equal starts: without Holm's correction some would be called better by chance."""
    names = ['prompt', *(f'start{i}' for i in range(40))]
    results = Results.of(simulate(dict.fromkeys(names, 0.2)), METRIC)
    assert {c.outcome for c in results.comparisons} == {'cannot be told apart'}
    assert min(c.difference.p_value for c in results.comparisons) < 0.05


def test_lacking_runs_are_named_and_left_out() -> None:
    records = simulate(MEANS)
    planned = [record.key for record in records]
    diverged = replace(records[5], metrics={METRIC: math.nan})
    finished = [*records[:5], diverged, *records[6:-2]]
    results = Results.of(finished, METRIC, planned=planned, failures={planned[-1]: 'out of memory'})
    assert results.lacking == {
        planned[5]: 'test_mIoU is nan',
        planned[-2]: 'not run',
        planned[-1]: 'out of memory',
    }
    comparison = results.find(FULL, 'generated', 'scratch')
    assert comparison is not None
    assert len(comparison.difference.by_seed) == 7
    assert comparison.difference.unpaired == 3


def test_a_failure_that_was_run_again_is_none() -> None:
    records = simulate(MEANS)
    assert not Results.of(records, METRIC, failures={records[0].key: 'killed'}).lacking


def test_settings_are_not_mixed() -> None:
    records = [*simulate(MEANS, fraction=0.1, method='linear_probe'), *simulate(MEANS)]
    results = Results.of(records, METRIC)
    assert [setting.title for setting in results.settings] == [
        'full finetuning, all training data',
        'linear probe, 10 % of training data',
    ]
    assert len(results.comparisons) == 6


@pytest.mark.parametrize(
    ('metric', 'hint'), [('test_miou', "did you mean 'test_mIoU'"), ('recall', 'known')]
)
def test_unknown_metric(metric: str, hint: str) -> None:
    with pytest.raises(SpecError, match=hint):
        Results.of(simulate(MEANS), metric)


def test_nothing_to_report() -> None:
    with pytest.raises(SpecError, match='no run has finished'):
        Results.of([], METRIC)


@pytest.mark.parametrize(
    ('generated', 'said'),
    [
        (0.28, ['is better than prompt', 'at least as good, is met', 'by at least 0.05, is met']),
        (0.25, ['cannot be told apart from prompt', 'is not shown', 'by at least 0.05, is met']),
        (0.18, ['is worse than prompt', 'is better than scratch', 'by at least 0.05, is not met']),
    ],
)
def test_the_verdict_follows_the_numbers(generated: float, said: list[str]) -> None:
    verdict = write_verdict(Results.of(simulate({**MEANS, 'generated': generated}), METRIC))
    assert '\n' not in verdict
    for words in said:
        assert words in verdict


def test_the_verdict_says_where_seeds_are_too_few() -> None:
    few = write_verdict(Results.of(simulate(MEANS, seeds=3), METRIC))
    assert 'so few pairs cannot tell any difference from chance' in few
    assert 'so few' not in write_verdict(Results.of(simulate(MEANS), METRIC))


def test_the_verdict_without_generated_weights() -> None:
    results = Results.of(simulate({'scratch': 0.1, 'prompt': 0.2}), METRIC)
    assert 'nothing is said about them' in write_verdict(results)


def test_the_verdict_counts_other_settings_and_lacking_runs() -> None:
    records = [*simulate(MEANS), *simulate(MEANS, fraction=0.1)]
    planned = [record.key for record in records]
    verdict = write_verdict(Results.of(records[:-1], METRIC, planned=planned))
    assert 'generated is better than prompt in 1, worse in 0' in verdict
    assert '1 run is lacking' in verdict


def test_a_small_model_is_held_against_pruning_and_distillation() -> None:
    means = {'scratch': 0.15, 'pruned': 0.2, 'distilled': 0.22, 'generated': 0.3}
    results = Results.of(simulate(means), METRIC)
    assert len(results.comparisons) == 6
    verdict = write_verdict(results)
    assert 'generated is better than pruned' in verdict
    assert 'generated is better than distilled' in verdict
    assert 'prompt' not in verdict


def test_the_verdict_names_what_is_lacking_to_compare_with() -> None:
    records = simulate({'prompt': 0.2, 'generated': 0.3})
    planned = [record.key for record in records]
    verdict = write_verdict(Results.of(records[10:], METRIC, planned=planned))
    assert 'generated was not compared with prompt.' in verdict
