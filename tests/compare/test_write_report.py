import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from page_reader import Page
from simulated import METRIC, simulate

from torchgeo_geosane.compare.report import write_report
from torchgeo_geosane.errors import SpecError

MEANS = {'scratch': 0.15, 'prompt': 0.25, 'generated': 0.28}


@pytest.fixture(scope='module')
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    records = [*simulate(MEANS), *simulate(MEANS, seeds=2, fraction=0.1)]
    folder = tmp_path_factory.mktemp('report')
    write_report(
        records[:-1],
        folder,
        METRIC,
        planned=[record.key for record in records],
        failures={records[-1].key: 'killed <b>&'},
        facts={'Task': 'Sentinel-2 land use'},
    )
    return folder


@pytest.fixture(scope='module')
def page(written: Path) -> Page:
    return Page((written / 'report.html').read_text())


def test_nothing_comes_from_elsewhere(written: Path, page: Page) -> None:
    assert not {'script', 'link', 'iframe', 'img'} & {tag for tag, _ in page.elements}
    targets = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in {'src', 'href', 'xlink:href'} and value
    ]
    assert all(target.startswith('#') for target in targets)
    assert not re.search(r'@import|url\((?!["\']?#)', (written / 'report.html').read_text())


def test_ids_are_unique(page: Page) -> None:
    """Two figures that share an id would draw each other's markers."""
    drawn = [attributes['id'] for _, attributes in page.elements if attributes.get('id')]
    shared = {name for name in drawn if drawn.count(name) > 1}
    used = {
        value.lstrip('#')
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name == 'xlink:href' and value
    }
    assert used
    assert not shared & used


def test_figures_have_alternative_texts_and_the_pages_ink(written: Path, page: Page) -> None:
    drawings = [attributes for tag, attributes in page.elements if tag == 'svg']
    labels = [a['aria-label'] for _, a in page.elements if a.get('role') == 'img']
    assert len(labels) == len(drawings) >= 7
    assert any(label and 'generated' in label for label in labels)
    assert 'currentColor' in (written / 'report.html').read_text()
    assert '#010203' not in (written / 'report.html').read_text()


def test_tables_have_headers(page: Page) -> None:
    scopes = [attributes.get('scope') for tag, attributes in page.elements if tag == 'th']
    assert set(scopes) == {'col', 'row'}


def test_lacking_runs_are_shown_and_escaped(page: Page) -> None:
    assert 'killed <b>&' in page.words
    assert '1 of 36 runs have no usable result' in page.words
    assert 'generated-finetune-fraction0.1-seed1' in page.words


def test_verdict_and_facts_are_on_the_page(written: Path, page: Page) -> None:
    verdict = (written / 'table.md').read_text().splitlines()[0]
    assert verdict in page.words
    assert 'Sentinel-2 land use' in page.words


def test_one_line_a_run(written: Path) -> None:
    rows = list(csv.DictReader(io.StringIO((written / 'runs.csv').read_text())))
    assert len(rows) == 35
    record = simulate(MEANS)[0]
    assert float(rows[0][METRIC]) == record.metrics[METRIC]
    assert (rows[0]['initialisation'], rows[0]['seed']) == ('scratch', '0')


def test_markdown_has_two_tables_a_setting(written: Path, page: Page) -> None:
    lines = (written / 'table.md').read_text().splitlines()
    tables = [line for line in lines if line.startswith('| ')]
    assert {line.count('|') for line in tables} == {11, 6}
    assert sum(line.startswith('| generated |') for line in tables) == 4
    # Of ten seeds the median of 2, 3, … milliseconds, the mean of 1.0, 1.1, … seconds.
    assert '| generated | 2.00 | 1.50 | 6.5 | 1.45 |' in tables
    assert 'ms an image' in page.words
    assert '**10 of 10**' in next(line for line in tables if line.startswith('| generated |'))


def test_a_report_is_the_same_every_time(tmp_path: Path) -> None:
    texts = []
    for name in ('a', 'b'):
        report = write_report(simulate(MEANS, seeds=2), tmp_path / name, METRIC)
        texts.append(report.page.read_text())
    assert texts[0] == texts[1]


def test_nothing_is_written_where_nothing_can_be_said(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match='test_mIoU'):
        write_report(simulate(MEANS), tmp_path / 'report', 'test_miou')
    assert not (tmp_path / 'report').exists()


def test_one_run_alone(tmp_path: Path) -> None:
    report = write_report(simulate({'generated': 0.2}, seeds=1), tmp_path, METRIC)
    assert 'Nothing was run that generated weights could be compared with' in report.verdict


def test_what_older_records_do_not_say_is_left_out(tmp_path: Path) -> None:
    records = [replace(each, trained=0, image_ms=0.0) for each in simulate(MEANS, seeds=2)]
    report = write_report(records, tmp_path, METRIC)
    assert '| prompt | 2.00 |  |  | 1.05 |' in report.tables.read_text()
