"""Whole comparisons: resuming, failing, processes, the command and its examples."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import toy_ray
import yaml
from toy_task import toy_fit

from torchgeo_geosane.cli import main
from torchgeo_geosane.compare import cluster, schedule
from torchgeo_geosane.compare.compare import compare
from torchgeo_geosane.compare.config import ComparisonConfig
from torchgeo_geosane.compare.record import (
    RunKey,
    RunRecord,
    read_record,
    read_records,
)
from torchgeo_geosane.compare.run import run
from torchgeo_geosane.compare.schedule import Outcome, run_in_processes
from torchgeo_geosane.errors import ComparisonError

pytestmark = pytest.mark.filterwarnings('ignore')

Capture = pytest.CaptureFixture[str]
ROOT = Path(__file__).parents[2]
STUMBLE = {'class_path': 'toy_task.Stumble', 'init_args': {'seed': 1}}
FALL = {'class_path': 'toy_task.Fall', 'init_args': {'seed': 1}}


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
    timed = {'seconds': 0, 'training_seconds': 0, 'image_ms': 0}
    assert replace(here, **timed) == replace(there, **timed)


def test_a_cluster(
    config: ComparisonConfig,
    tmp_path: Path,
    quick: list[RunKey],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As Ray Tune would: a node is lost, Ctrl-C comes before the last, nodes share no disk."""
    monkeypatch.setitem(sys.modules, 'ray', toy_ray)
    monkeypatch.setattr(cluster, 'run_and_record', lambda c, k, o: Outcome(k, schedule.run(c, k)))
    said: list[str] = []
    with pytest.raises(
        ComparisonError, match=r'2 of 4.*its trial failed: node lost in a few lines'
    ):
        compare(config, tmp_path, jobs=3, backend='ray', say=said.append)
    assert toy_ray.asked['max_concurrent_trials'] == 3
    assert toy_ray.asked['resources'] == {'cpu': 1, 'gpu': 0}
    assert quick == [key for key in config.runs() if key not in toy_ray.lost(config)]
    assert ['FAILED' in line for line in said] == [False, True, False, True]
    assert 'its trial did not end' in said[-1]
    assert len(list((tmp_path / 'runs').iterdir())) == 2


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
