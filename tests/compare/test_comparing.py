"""Whole comparisons: resuming, failing, processes, the command and its examples."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import toy_ray
import yaml
from specs import MakeSpec
from toy_task import Eyes, toy_fit

from torchgeo_geosane.cli import main
from torchgeo_geosane.compare import cluster, schedule
from torchgeo_geosane.compare.compare import compare
from torchgeo_geosane.compare.config import ComparisonConfig
from torchgeo_geosane.compare.material import MergeOptions
from torchgeo_geosane.compare.record import (
    RunKey,
    RunRecord,
    read_record,
    read_records,
    write_record,
)
from torchgeo_geosane.compare.run import run
from torchgeo_geosane.compare.schedule import Outcome, run_in_processes
from torchgeo_geosane.errors import CacheError, ComparisonError, GeoSANEError

pytestmark = pytest.mark.filterwarnings('ignore')

Capture = pytest.CaptureFixture[str]
ROOT = Path(__file__).parents[2]
STUMBLE = {'class_path': 'toy_task.Stumble', 'init_args': {'seed': 1}}
FALL = {'class_path': 'toy_task.Fall', 'init_args': {'seed': 1}}


@pytest.fixture(autouse=True)
def eyes() -> Iterator[None]:
    yield
    Eyes.close()


@pytest.fixture
def config(make_spec: MakeSpec) -> ComparisonConfig:
    """Classification; the cheapest there is."""
    return ComparisonConfig(
        fit=toy_fit('label'),
        weights=make_spec('test_resnet', 'sentinel2_6').url,
        initialisations=('scratch', 'generated'),
        seeds=2,
        metric='loss',
        mode='min',
    )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[RunKey]:
    """Nothing is trained; the runs that would have been."""
    done: list[RunKey] = []

    def run(comparison: ComparisonConfig, key: RunKey) -> RunRecord:
        done.append(key)
        configuration = comparison.configuration(key.initialisation)
        metrics = {f'test_{comparison.metric}': float(key.seed)}
        return RunRecord(
            *(key.initialisation, key.seed, key.fraction, key.method, key.conditioned),
            metrics=metrics,
            configuration=configuration,
        )

    monkeypatch.setattr(schedule, 'run', run)
    return done


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


def test_a_damaged_record_is_named(config: ComparisonConfig, tmp_path: Path) -> None:
    path = write_record(tmp_path / 'runs', RunRecord('scratch', 0))
    path.write_text(path.read_text()[:40])
    with pytest.raises(CacheError, match=r'scratch-finetune-fraction1-seed0\.json'):
        compare(config, tmp_path, jobs=0)


def test_one_failing_run_does_not_stop_the_others(config: ComparisonConfig, tmp_path: Path) -> None:
    stumbling = replace(config, fit=toy_fit('label', STUMBLE))
    said: list[str] = []
    with pytest.raises(ComparisonError, match='2 of 4 runs failed'):
        compare(stumbling, tmp_path, jobs=0, say=said.append)
    assert ['FAILED: MemoryError: toy breakdown' in line for line in said] == [
        *(False, False, True, True)
    ]
    assert len(list((tmp_path / 'runs').iterdir())) == 2
    log = (tmp_path / 'logs' / 'generated-finetune-fraction1-seed1.log').read_text()
    assert 'toy breakdown' in log
    assert 'Seed set to 1' in log


def test_processes(config: ComparisonConfig, tmp_path: Path, capfd: Capture) -> None:
    """A process that dies takes its run with it, no other, and training is the same there."""
    falling = replace(config, fit=toy_fit('label', FALL), initialisations=('scratch',), seeds=3)
    outcomes = list(run_in_processes(falling, list(falling.runs()), tmp_path, jobs=1))
    assert [outcome.key.seed for outcome in outcomes] == [0, 1, 2]
    assert 'its process died' in str(outcomes[1].error)
    assert [outcome.error for outcome in outcomes[::2]] == [None, None]
    assert 'Seed set' not in capfd.readouterr().err
    here = schedule.run(falling, RunKey('scratch', 0))
    there = read_record(tmp_path / 'runs' / f'{here.key.name}.json')
    assert replace(here, seconds=0) == replace(there, seconds=0)


def test_a_cluster(
    config: ComparisonConfig,
    tmp_path: Path,
    quick: list[RunKey],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As Ray Tune would; one trial's node is lost, and the nodes share no disk."""
    monkeypatch.setitem(sys.modules, 'ray', toy_ray)
    monkeypatch.setattr(cluster, 'run_and_record', lambda c, k, o: Outcome(k, schedule.run(c, k)))
    said: list[str] = []
    with pytest.raises(ComparisonError, match='its trial failed: node lost'):
        compare(config, tmp_path, jobs=3, backend='ray', say=said.append)
    assert toy_ray.asked['max_concurrent_trials'] == 3
    assert toy_ray.asked['resources'] == {'cpu': 1, 'gpu': 0}
    assert quick == [key for key in config.runs() if key != toy_ray.lost(config)]
    assert ['FAILED' in line for line in said] == [False, True, False, False]
    assert len(list((tmp_path / 'runs').iterdir())) == 3


def test_a_cluster_needs_ray(
    config: ComparisonConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, 'ray', None)
    with pytest.raises(ComparisonError, match=r'torchgeo-geosane\[ray\]'):
        compare(config, tmp_path, backend='ray')


def test_the_command(config: ComparisonConfig, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / 'fits').mkdir()
    fit = toy_fit('label', {**STUMBLE, 'init_args': {'seed': 0}})
    (tmp_path / 'fits' / 'toy.yaml').write_text(yaml.safe_dump(fit))
    (tmp_path / 'configs').mkdir()
    path = tmp_path / 'configs' / 'toy.yaml'
    settings = {'fit': '../fits/toy.yaml', 'weights': config.weights, 'metric': 'loss'}
    path.write_text(yaml.safe_dump({**settings, 'mode': 'min', 'conditioned': [True]}))
    output = tmp_path / 'out'
    options = [f'--config={path}', f'--output={output}', '--seeds=2', '--jobs=0']
    assert main(['compare', *options, '--init', 'prompt', 'generated']) == 2
    captured = capsys.readouterr()
    assert '[1/4] prompt-finetune-fraction1-conditioned-seed0: FAILED' in captured.out
    assert '[4/4] generated-finetune-fraction1-conditioned-seed1: loss ' in captured.out
    assert '2 of 4 runs failed' in captured.err
    assert len(list((output / 'runs').iterdir())) == 2
    assert (output / 'report.html').exists()


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


SHORT = {'max_epochs': 1, 'check_val_every_n_epoch': 1} | {
    f'limit_{part}_batches': 1 for part in ('train', 'val', 'test')
}


@pytest.mark.parametrize('name', ['sentinel2_landuse', 'landsat7'])
def test_examples(
    name: str, tmp_path: Path, quick: list[RunKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All runs are planned; one is done, for a step, on the real scene from the real prompt."""
    monkeypatch.chdir(ROOT)
    example = Path('examples', 'compare', f'{name}.yaml')
    command = ['compare', f'--config={example}', '--jobs=0']
    assert main([*command, f'--output={tmp_path / "all"}']) == 0
    assert len(quick) == 10 * len(yaml.safe_load(example.read_text())['initialisations'])

    def shortened(comparison: ComparisonConfig, key: RunKey) -> RunRecord:
        fit = {**comparison.fit, 'trainer': {**comparison.fit['trainer'], **SHORT}}
        record = run(replace(comparison, fit=fit), key)
        return replace(record, configuration=comparison.configuration(key.initialisation))

    monkeypatch.setattr(schedule, 'run', shortened)
    output = tmp_path / 'one'
    assert main([*command, '--init', 'prompt', '--seeds=1', f'--output={output}']) == 0
    (record,) = read_records(output / 'runs')
    assert 'test_mIoU' in record.metrics
