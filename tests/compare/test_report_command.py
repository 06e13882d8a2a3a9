"""The report of records on the disk, as the command writes it; nothing is trained."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from simulated import simulate

from torchgeo_geosane.cli import main
from torchgeo_geosane.compare.config import ComparisonConfig
from torchgeo_geosane.compare.record import RunKey, write_record

WEIGHTS = 'geosane://test_resnet?sensor=sentinel2_6&prompt=random'
FIT = {
    'model': {'class_path': 'torchgeo.trainers.ToyTask', 'init_args': {'num_classes': 8}},
    'data': {'class_path': 'ToyDataModule', 'init_args': {'batch_size': 8}},
    'trainer': {'max_epochs': 4, 'devices': 1},
}
MEANS = {'scratch': 0.15, 'prompt': 0.25, 'generated': 0.28}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / 'compare.yaml').write_text(
        yaml.safe_dump({'fit': FIT, 'weights': WEIGHTS, 'output': str(tmp_path), 'seeds': 9})
    )
    return tmp_path


def record_runs(folder: Path, seeds: int) -> None:
    comparison = ComparisonConfig(fit=FIT, weights=WEIGHTS)
    for record in simulate(MEANS, seeds):
        configuration = comparison.configuration(record.initialisation)
        write_record(folder / 'runs', replace(record, configuration=configuration))


def report(folder: Path) -> int:
    return main(['compare', '--config', str(folder / 'compare.yaml'), '--report-only'])


def test_report_of_what_is_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record_runs(folder, seeds=8)
    failed = RunKey('prompt', 8)
    (folder / 'logs').mkdir()
    (folder / 'logs' / f'{failed.name}.log').write_text('Traceback\nMemoryError: too small\n\n')
    assert report(folder) == 0
    said = capsys.readouterr().out
    assert 'generated is better than scratch' in said
    assert '3 runs are lacking' in said
    page = (folder / 'report.html').read_text()
    assert 'ToyTask: num_classes 8' in page
    assert 'max_epochs 4' in page
    assert 'MemoryError: too small' in page
    assert page.count('<td>not run</td>') == 2


def test_records_of_another_configuration_are_not_reported(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for record in simulate(MEANS, 3):
        write_record(folder / 'runs', replace(record, configuration='another'))
    assert report(folder) == 2
    assert 'no run has finished' in capsys.readouterr().err
    assert not (folder / 'report.html').exists()
