"""What is to be done, what is done already, and what is told before anything is."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from torchgeo_geosane.compare.compare import compare
from torchgeo_geosane.compare.config import ComparisonConfig
from torchgeo_geosane.compare.initialisations import INITIALISATIONS
from torchgeo_geosane.compare.material import MergeOptions
from torchgeo_geosane.compare.record import RunKey, RunRecord, read_record, write_record
from torchgeo_geosane.errors import CacheError, GeoSANEError
from torchgeo_geosane.spec import Spec


def test_all_runs_seed_by_seed(config: ComparisonConfig) -> None:
    varied = replace(
        config,
        fractions=(1.0, 0.1),
        methods=('finetune', 'linear_probe'),
        conditioned=(True, False),
    )
    keys = list(varied.runs())
    assert len(set(keys)) == len(keys) == 2 * 2 * 2 * 2 * 2
    assert [key.seed for key in keys] == [0] * 16 + [1] * 16
    assert len({key.name for key in keys}) == len(keys)


def test_starts_of_an_aligned_average_are_conditioned(config: ComparisonConfig) -> None:
    """All alike, unless the configuration says otherwise."""
    two = Spec('test_resnet', 'sentinel2_6', prompts=('random', 'random'))
    one = replace(two, prompts=('random',), sampler=None)
    for spec, wanted in ((replace(two, align=True), True), (two, False), (one, False)):
        found = replace(config, weights=spec.url, conditioned=())
        assert {key.conditioned for key in found.runs()} == {wanted}
    asked = replace(config, weights=replace(two, align=True).url, conditioned=(False,))
    assert {key.conditioned for key in asked.runs()} == {False}


def test_what_is_done_is_not_repeated(
    config: ComparisonConfig, tmp_path: Path, quick: list[RunKey]
) -> None:
    said: list[str] = []
    records = compare(config, tmp_path, jobs=0, say=said.append)
    assert [record.key for record in records] == quick == list(config.runs())
    assert said[0] == '[1/4] scratch-finetune-fraction1-seed0: loss 0.0000 (0 s)'
    (tmp_path / 'runs' / f'{quick[2].name}.json').unlink()
    more = replace(config, seeds=3)
    repeated = compare(more, tmp_path, jobs=0, say=said.append)
    assert quick[4:] == [RunKey('scratch', 1), RunKey('scratch', 2), RunKey('generated', 2)]
    assert said[4] == f'3 runs are done already: {tmp_path}'
    assert [record.key for record in repeated] == list(more.runs())


def test_records_of_versions_without_metric_and_task_are_completed(
    config: ComparisonConfig, tmp_path: Path, quick: list[RunKey]
) -> None:
    before = compare(config, tmp_path, jobs=0, say=lambda line: None)
    assert {record.task for record in before} == {''}
    after = compare(config, tmp_path, jobs=0, say=lambda line: None)
    assert len(quick) == 4
    told = {'metric': 'loss', 'mode': 'min', 'task': config.task}
    assert after == [replace(record, **told) for record in before]


def test_another_configuration_is_another_run(
    config: ComparisonConfig, tmp_path: Path, quick: list[RunKey]
) -> None:
    compare(config, tmp_path, jobs=0, say=lambda line: None)
    said: list[str] = []
    longer = replace(config, fit={**config.fit, 'trainer': {'max_epochs': 2}})
    compare(longer, tmp_path, jobs=0, say=said.append)
    assert len(quick) == 8
    assert said[0] == '4 records were made under another configuration: run again'
    # What only concerns other initialisations does not matter.
    compare(replace(longer, merge=MergeOptions(dare_density=0.1)), tmp_path, jobs=0)
    assert len(quick) == 8
    other_seed = config.weights.replace('bandwidth=0.2', 'bandwidth=0.3')
    compare(replace(longer, weights=other_seed), tmp_path, jobs=0)
    assert quick[8:] == [RunKey('generated', 0), RunKey('generated', 1)]


def test_another_foundry_concerns_only_what_it_makes(
    config: ComparisonConfig, foundries: dict[str, str]
) -> None:
    one, other = (
        replace(config, weights=replace(Spec.parse(config.weights), foundry=foundries[kind]).url)
        for kind in ('dense', 'matrices')
    )
    changed = {
        name for name in INITIALISATIONS if one.configuration(name) != other.configuration(name)
    }
    drawn = {name for name in INITIALISATIONS if name.startswith('generated')}
    assert changed == drawn | {'reconstruction', 'prompt_noise'}


def test_a_damaged_record_is_named(config: ComparisonConfig, tmp_path: Path) -> None:
    path = write_record(tmp_path / 'runs', RunRecord('scratch', 0))
    path.write_text(path.read_text()[:40])
    with pytest.raises(CacheError, match=r'scratch-finetune-fraction1-seed0\.json'):
        compare(config, tmp_path, jobs=0)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'initialisations': ('promt',)}, "did you mean 'prompt'"),
        ({'methods': ('finetuning',)}, "did you mean 'finetune'"),
        ({'seeds': 0}, '1 or more seeds'),
        ({'initialisations': ('prompt', 'prompt')}, 'different'),
        ({'fractions': (0.0, 1.0)}, 'above 0'),
        ({'fit': {'model': {}}}, "no 'data'"),
        ({'initialisations': ('weight_selection',)}, 'larger'),
        ({'weights': 'GeoSANE_ResNet50_Weights.SENTINEL'}, 'did you mean'),
        ({'initialisations': ('soup',), 'merge': MergeOptions(('ukis:6b',))}, 'ukis:6b'),
    ],
)
def test_contradictions_are_told_before_anything_runs(
    changes: dict[str, Any], message: str, config: ComparisonConfig
) -> None:
    with pytest.raises(GeoSANEError, match=message):
        replace(config, **changes)


def test_a_record_survives_the_disk(tmp_path: Path) -> None:
    record = RunRecord(
        *('generated', 3, 0.01, 'linear_probe', True),
        metrics={'test_mIoU': 0.25},
        curve=((1, 2.5), (2, 1.25)),
        validation=((2, 0.125),),
        parameters=10,
        seconds=1.5,
        configuration='abc',
    )
    path = write_record(tmp_path, record)
    assert path.name == 'generated-linear_probe-fraction0.01-conditioned-seed3.json'
    assert read_record(path) == record
    path.write_text(json.dumps({'initialisation': 'generated'}))
    with pytest.raises(CacheError, match='not a record'):
        read_record(path)
