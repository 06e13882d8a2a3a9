"""Several tasks on one scale, from records on the disk; nothing is trained."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from page_reader import Page
from PIL import Image
from scipy.stats import scoreatpercentile

from torchgeo_geosane.cli import main
from torchgeo_geosane.compare.aggregate import Aggregate, Score, aggregate
from torchgeo_geosane.compare.geobench2 import benchmark_groups, benchmark_sets
from torchgeo_geosane.compare.record import Mode, RunRecord, write_record
from torchgeo_geosane.compare.results import Results, Setting
from torchgeo_geosane.compare.tasks import Task
from torchgeo_geosane.errors import ComparisonError

MAIN = Setting(1.0, 'finetune', False)
MEANS = {'scratch': 0.66, 'prompt': 0.75, 'generated': 0.8}


def records(
    task: str,
    metric: str = 'mIoU',
    mode: Mode = 'max',
    means: Mapping[str, float] = MEANS,
    seeds: Sequence[int] = range(5),
) -> list[RunRecord]:
    rng = np.random.default_rng(len(task))
    return [
        RunRecord(
            name,
            seed,
            metrics={f'test_{metric}': float(mean + 0.01 * rng.normal()), 'test_loss': 1.0},
            configuration=f'{task} from {name}',
            metric=metric,
            mode=mode,
            task=task,
        )
        for name, mean in means.items()
        for seed in seeds
    ]


def write(folder: Path, runs: Sequence[RunRecord]) -> str:
    for record in runs:
        write_record(folder / 'runs', record)
    return str(folder)


def run(folder: Path, *arguments: str) -> int:
    return main(['compare', 'aggregate', *arguments, '--output', str(folder / 'out')])


def task(name: str, values: np.ndarray, mode: Mode = 'max') -> Task:
    """A task of three initialisations, ``values`` is [initialisations, seeds]."""
    runs = [
        RunRecord(start, seed, metrics={'test_m': float(value)}, metric='m', mode=mode, task=name)
        for start, row in zip(MEANS, values, strict=True)
        for seed, value in enumerate(row)
    ]
    return Task(name, Path(name), Results.of(runs, 'test_m', mode, references=()))


def means_of(found: Aggregate) -> dict[str, float]:
    return {name: each['all'].mean for name, each in found.scores[MAIN].items()}


def test_interquartile_mean_with_percentiles_of_redrawn_seeds() -> None:
    values = np.random.default_rng(3).normal(size=(4, 6))
    score = Score.of(values)
    assert score.mean == pytest.approx(np.sort(values.ravel())[6:18].mean())
    rng = np.random.default_rng(9)
    redrawn = [
        np.sort(np.concatenate([rng.choice(row, 6) for row in values]))[6:18].mean()
        for _ in range(4000)
    ]
    wanted = scoreatpercentile(redrawn, [2.5, 97.5])
    assert (score.low, score.high) == pytest.approx(wanted, abs=0.04)
    # Seeds are drawn within their task: where the seeds of each task agree, nothing varies.
    apart = Score.of(np.repeat([[0.0], [10.0], [20.0]], 5, axis=1))
    assert apart.low == apart.mean == apart.high


def test_paired_differences_cancel_what_seeds_share() -> None:
    rng = np.random.default_rng(5)
    shared = rng.normal(size=(2, 1, 6))
    own = np.array([[0.0], [0.5], [0.5]]) + 0.001 * rng.normal(size=(2, 3, 6))
    found = aggregate([task('a', shared[0] + own[0]), task('b', shared[1] + own[1])])
    # The first of the usual references that is there, and the second once more against it.
    assert found.references == ('scratch', 'prompt')
    gains = found.gains[MAIN]
    assert list(gains) in (
        [(one, 'scratch') for one in pair] + [('generated', 'prompt')]
        for pair in (('generated', 'prompt'), ('prompt', 'generated'))
    )
    spans = [np.ptp(shared[at] + own[at]) for at in (0, 1)]
    wanted = np.sort(np.concatenate([(own[at][2] - own[at][0]) / spans[at] for at in (0, 1)]))[
        3:9
    ].mean()
    gain = gains['generated', 'scratch']['all']
    assert gain.mean == pytest.approx(wanted)
    score = found.scores[MAIN]['generated']['all']
    assert gain.high - gain.low < (score.high - score.low) / 5
    even = gains['generated', 'prompt']['all']
    assert even.low < 0 < even.high


def test_references_are_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    means = {'soup': 0.7, 'two': 0.75, 'three': 0.8}
    runs = [write(tmp_path / name, records(name, means=means)) for name in ('alps', 'delta')]
    assert run(tmp_path, *runs) == 0
    assert 'paired differences to soup' in capsys.readouterr().out, 'the first, by default'
    assert (tmp_path / 'out' / 'minus_soup.png').exists()
    assert run(tmp_path, *runs, '--references', 'two', 'three') == 0
    said = capsys.readouterr().out
    assert 'paired differences to two' in said
    assert 'paired differences to soup' not in said
    assert '| soup | *-' in said
    assert run(tmp_path, *runs, '--references', 'tree') == 2
    assert "did you mean 'three'" in capsys.readouterr().err


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    sets = ('pastis', 'caffe', 'burn_scars', 'cloudsen12')
    means = {'scratch': 0.4, 'prompt': 0.5, 'generated': 0.6}
    runs = [write(tmp_path / name, records(name, means=means)) for name in sets]
    assert run(tmp_path, *runs) == 0
    text = (tmp_path / 'out' / 'aggregate.html').read_text()
    page = Page(text)
    assert not {'script', 'link', 'iframe', 'img'} & {tag for tag, _ in page.elements}
    drawings = [attributes for tag, attributes in page.elements if tag == 'svg']
    labels = [a['aria-label'] for _, a in page.elements if a.get('role') == 'img']
    assert len(drawings) == len(labels) == 3
    assert any('better than' not in str(each) and 'generated +' in str(each) for each in labels)
    assert 'currentColor' in text
    assert '#010203' not in text
    drawn = [attributes['id'] for _, attributes in page.elements if attributes.get('id')]
    used = {
        str(value).lstrip('#')
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name == 'xlink:href'
    }
    assert not {name for name in drawn if drawn.count(name) > 1} & used
    assert 'multispectral (4 of 8 tasks)' not in page.words
    assert 'core (3 of 12 tasks)' in page.words
    assert {cell for _, a in page.elements for cell in [a.get('class')] if cell} >= {'better'}


@given(
    st.floats(0.01, 100),
    st.floats(-50, 50),
    st.integers(0, 1000),
)
def test_units_and_direction_of_a_metric_do_not_matter(
    factor: float, offset: float, seed: int
) -> None:
    first, second = np.random.default_rng(seed).uniform(size=(2, 3, 4))
    plain = aggregate([task('a', first), task('b', second)])
    other = aggregate([task('a', factor * first + offset), task('b', 1 - second, 'min')])
    assert means_of(other) == pytest.approx(means_of(plain), abs=1e-6)
    assert list(other.scores[MAIN]) == sorted(means_of(plain), key=lambda n: -means_of(plain)[n])
    values = [(each - each.min()) / np.ptp(each) for each in (first, second)]
    for index, name in enumerate(MEANS):
        pooled = np.sort(np.concatenate([each[index] for each in values]))
        assert means_of(plain)[name] == pytest.approx(pooled[2:6].mean())


def test_table_of_the_benchmark() -> None:
    sets, groups = benchmark_sets(), benchmark_groups()
    assert len(sets) == 19
    assert {len(groups['core']), len(groups['pixelwise'])} == {12, 11}
    assert groups['detection'] == ('everwatch', 'nzcattle', 'pastis_r', 'substation')
    for each in sets.values():
        assert (each.zero < each.one) == (each.metric != 'RMSE')
        assert each.is_possible(each.zero)
        assert each.is_possible(each.one)
    biomass = sets['biomassters']
    assert 1 - 0.2537951 * biomass.zero == pytest.approx(0.9482)
    assert 1 - 0.2537951 * biomass.one == pytest.approx(0.9601)


def test_benchmark_as_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    burn = write(tmp_path / 'burn_scars', records('b', means={'scratch': 0.7, 'generated': 0.9}))
    caffe = write(
        tmp_path / 'elsewhere',
        records('c', 'AverageJaccardIndex', means={'scratch': 0.56, 'generated': 0.7}),
    )
    mass = write(
        tmp_path / 'biomassters',
        records('m', 'RMSE', 'min', {'scratch': 0.2, 'generated': 0.16}),
    )
    assert run(tmp_path, burn, f'caffe={caffe}', mass) == 0
    said = capsys.readouterr().out
    assert 'normalisation of GEO-Bench-2' in said
    assert 'all (3 tasks) | core (2 of 12 tasks)' in said
    assert said.index('| generated |') < said.index('| scratch |')
    assert 'detection' not in said
    assert '| burn_scars | test_mIoU | 0.6498 | 0.9017 |' in said
    text = (tmp_path / 'out' / 'aggregate.md').read_text()
    assert '](aggregate.png)' in text
    with Image.open(tmp_path / 'out' / 'aggregate.png') as image:
        assert np.ptp(np.asarray(image.convert('L'))) > 200
    # The same by hand.
    values = {
        name: [
            (record.metrics['test_' + record.metric] - zero) / (one - zero)
            for runs, zero, one in (
                (records('b', means={'scratch': 0.7, 'generated': 0.9}), 0.6498, 0.9017),
                (
                    records('c', 'AverageJaccardIndex', means={'scratch': 0.56, 'generated': 0.7}),
                    0.5597,
                    0.7003,
                ),
                (
                    records('m', 'RMSE', 'min', {'scratch': 0.2, 'generated': 0.16}),
                    (1 - 0.9482) / 0.2537951,
                    (1 - 0.9601) / 0.2537951,
                ),
            )
            for record in runs
            if record.initialisation == name
        ]
        for name in ('scratch', 'generated')
    }
    for name, each in values.items():
        assert f'| {name} | {np.sort(each)[3:12].mean():.3f} [' in text


def test_own_groups_and_chosen_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [write(tmp_path / name, records(name)) for name in ('alps', 'delta', 'steppe')]
    write(tmp_path / 'alps', records('alps', means={'soup': 0.7}, seeds=range(2)))
    assert run(tmp_path, *runs, '--groups', 'wet=alps+delta') == 2
    said = capsys.readouterr().err
    assert "delta, steppe has no usable run of 'soup'" in said
    assert '--initialisations generated prompt scratch' in said
    assert not (tmp_path / 'out').exists()
    starts = ('--init', 'scratch', 'generated')
    assert run(tmp_path, *runs, *starts, '--groups', 'wet=alps+delta') == 0
    said = capsys.readouterr().out
    assert 'worst and the best run' in said
    assert '| Initialisation | all (3 tasks) | wet (2 tasks) |' in said
    assert 'prompt' not in said


def test_what_is_left_out_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alps = write(tmp_path / 'alps', records('alps'))
    delta = write(tmp_path / 'delta', records('delta', seeds=range(3, 8)))
    write(tmp_path / 'delta', [replace(r, fraction=0.1) for r in records('delta')])
    assert run(tmp_path, alps, delta) == 0
    said = capsys.readouterr().out
    assert 'all training data, 2 seeds' in said
    assert '18 of 30 runs' in said
    assert 'not all tasks have it: full finetuning, 10 %' in said


def test_one_seed_has_no_interval(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [write(tmp_path / name, records(name, seeds=[0])) for name in ('alps', 'delta')]
    assert run(tmp_path, *runs) == 0
    assert 'one seed, so without intervals' in capsys.readouterr().out


def spoil(folder: Path, case: str) -> list[str]:
    """Two tasks with something wrong about them; the arguments to aggregate them."""
    good = records('alps')
    alps, delta = write(folder / 'alps', good), str(folder / 'delta')
    match case:
        case 'metrics':
            write(folder / 'delta', records('delta'))
            write(folder / 'delta', records('delta', 'OA', means={'soup': 0.8}))
        case 'data':
            write(folder / 'delta', records('delta'))
            write(folder / 'delta', records('steppe', means={'soup': 0.8}))
        case 'weights':
            write(folder / 'delta', records('delta'))
            write(folder / 'delta', [replace(records('delta')[0], configuration='other')])
        case 'old':
            write(folder / 'delta', [replace(good[0], metric='', task='')])
        case 'mode':
            path = write_record(folder / 'delta' / 'runs', good[0])
            path.write_text(json.dumps(json.loads(path.read_text()) | {'mode': 'most'}))
        case 'twice':
            write(folder / 'delta', good)
        case 'empty':
            (folder / 'delta').mkdir()
        case 'v1':
            (folder / 'delta' / 'm-eurosat').mkdir(parents=True)
            (folder / 'delta' / 'm-eurosat' / 'task_specs.pkl').write_bytes(b'never read')
        case 'constant':
            write(folder / 'delta', [replace(r, metrics={'test_mIoU': 0.5}) for r in records('d')])
        case 'seeds':
            write(folder / 'delta', records('delta', seeds=range(5, 8)))
        case 'settings':
            write(folder / 'delta', [replace(r, fraction=0.1) for r in records('delta')])
    return [alps, delta]


@pytest.mark.parametrize(
    ('case', 'words'),
    [
        ('metrics', 'different metrics: OA (max), mIoU (max)'),
        ('data', 'different data, models or budgets'),
        ('weights', 'different configurations of scratch'),
        ('old', 'does not say its metric and task'),
        ('mode', "mode is 'most'"),
        ('twice', 'alps and delta are one task'),
        ('empty', 'no finished run'),
        ('missing', 'no finished run'),
        ('v1', 'GEO-Bench v1'),
        ('constant', 'every run has test_mIoU 0.5'),
        ('seeds', 'no seed in common'),
        ('settings', 'no setting'),
    ],
)
def test_what_cannot_be_aggregated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str, words: str
) -> None:
    assert run(tmp_path, *spoil(tmp_path, case)) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['alps'], '2 or more tasks'),
        (['alps', 'x=alps'], 'are one task'),
        (['x=alps', 'x=delta'], "two tasks are called 'x'"),
        (['alps', 'delta', '--groups', 'pixelwize'], "did you mean 'pixelwise'"),
        (['alps', 'delta', '--groups', 'wet=alps+delt'], "did you mean 'delta'"),
        (
            ['alps', 'delta', '--groups', 'core'],
            "fewer than 2 of the tasks are in the group 'core'",
        ),
        (['alps', 'delta', '--groups', 'a=alps+delta', 'a=alps+delta'], "there is a group 'a'"),
        (['alps', 'delta', '--init', 'scrach'], "did you mean 'scratch'"),
        (['alps', 'delta', '--init', 'scratch'], '2 or more initialisations'),
        (['alps', 'pastis=delta'], 'scales of two kinds'),
        (['alps', 'delta', '--scale', 'geobench2'], 'is no data set of GEO-Bench-2'),
        (['pastis=alps', 'so2sat=delta'], 'GEO-Bench-2 scores it by OA'),
        (['pastis=alps', 'caffe=percent'], 'test_mIoU 75'),
    ],
)
def test_what_cannot_be_asked_for(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ('alps', 'delta'):
        write(tmp_path / name, records(name))
    percent = records('percent')
    write(tmp_path / 'percent', [replace(r, metrics={'test_mIoU': 75.0}) for r in percent])
    assert run(tmp_path, *arguments) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_a_start_whose_runs_all_diverged_is_named() -> None:
    values = np.random.default_rng(0).uniform(size=(3, 4))
    broken = values.copy()
    broken[1] = np.nan
    with pytest.raises(ComparisonError, match="b has no usable run of 'prompt'"):
        aggregate([task('a', values), task('b', broken)])
