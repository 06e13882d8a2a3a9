"""Other models beside the fit's: an ensemble, and a small model that it teaches."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from specs import MakeSpec
from toy_task import Eyes, toy_fit

from torchgeo_geosane.compare.compare import compare, report
from torchgeo_geosane.compare.config import ComparisonConfig
from torchgeo_geosane.compare.distillation import DistillationOptions
from torchgeo_geosane.compare.record import RunKey
from torchgeo_geosane.compare.run import run
from torchgeo_geosane.errors import GeoSANEError
from torchgeo_geosane.generate import generate
from torchgeo_geosane.providers.catalog import timm_name
from torchgeo_geosane.spec import Spec

pytestmark = pytest.mark.filterwarnings('ignore')

ARCHITECTURES = ('test_resnet', 'test_efficientnet')


@pytest.fixture
def members(make_spec: MakeSpec) -> tuple[Spec, ...]:
    return tuple(make_spec(name, 'sentinel2_6') for name in ARCHITECTURES)


def name_of(members: tuple[Spec, ...]) -> str:
    return '+'.join(timm_name(each).removeprefix('geosane_') for each in members)


def comparison(members: tuple[Spec, ...], labels: str = 'mask', **changes: Any) -> ComparisonConfig:
    ensemble = f'geosane_ensemble.{name_of(members)}'
    changed = {'backbone': f'tu-{ensemble}'} if labels == 'mask' else {'model': ensemble}
    settings: dict[str, Any] = {
        'initialisations': ('scratch', 'prompt'),
        'models': {'pair': {**changed, 'weights': True}},
        'seeds': 1,
        'metric': 'loss',
        'mode': 'min',
    }
    return ComparisonConfig(fit=toy_fit(labels), weights=members[0].url, **{**settings, **changes})


@pytest.mark.parametrize('labels', ['mask', 'label'])
@pytest.mark.parametrize('method', ['finetune', 'linear_probe'])
def test_an_ensemble_sees_what_the_starts_see(
    members: tuple[Spec, ...], labels: str, method: Any
) -> None:
    asked = comparison(members, labels)
    scratch, pair = (run(asked, RunKey(name, 0, method=method)) for name in ('scratch', 'pair'))
    assert all(torch.equal(one, two) for one, two in zip(*Eyes.batches, strict=True))
    start, end = Eyes.starts[1], Eyes.ends[1]
    inside = [name for name in start if '.members.' in name]
    assert inside
    assert all(torch.equal(start[name], end[name]) for name in inside)
    stem = generate(members[0]).tensors['conv1.0.weight']
    assert any(
        name.endswith('conv1.0.weight') and torch.equal(t, stem) for name, t in start.items()
    )
    assert pair.trained < pair.parameters
    assert scratch.parameters < pair.parameters
    assert (scratch.trained == scratch.parameters) == (method == 'finetune')
    for record in (scratch, pair):
        assert 0 < record.training_seconds < record.seconds
        assert record.image_ms > 0


@pytest.mark.parametrize('model', [{'backbone': 'tu-test_efficientnet'}, {'num_classes': 4}])
def test_a_probe_of_another_model(members: tuple[Spec, ...], model: dict[str, Any]) -> None:
    asked = comparison(members, models={'other': model})
    run(asked, RunKey('other', 0, method='linear_probe'))
    (start,), (end,) = Eyes.starts, Eyes.ends
    changed = {name for name in start if not torch.equal(start[name], end[name])}
    assert changed
    assert all('encoder' not in name for name in changed)


def test_a_probe_trains_the_head_of_a_classifier(members: tuple[Spec, ...]) -> None:
    asked = comparison(members, 'label', models={'other': {'model': 'test_efficientnet'}})
    record = run(asked, RunKey('other', 0, method='linear_probe'))
    (start,), (end,) = Eyes.starts, Eyes.ends
    changed = {name for name in start if not torch.equal(start[name], end[name])}
    assert changed == {'model.classifier.weight', 'model.classifier.bias'}
    assert record.trained == sum(start[name].numel() for name in changed)


def test_an_ensemble_teaches(members: tuple[Spec, ...]) -> None:
    taught = {
        share: comparison(
            members,
            initialisations=('prompt', 'distilled'),
            distillation=DistillationOptions(model='pair', share=share, start='prompt'),
        )
        for share in (0.0, 1.0)
    }
    prompt = run(taught[0.0], RunKey('prompt', 0))
    alone = run(taught[0.0], RunKey('distilled', 0))
    assert alone.metrics == prompt.metrics, 'the student starts as the prompt, and so do its draws'
    distilled = run(taught[1.0], RunKey('distilled', 0))
    assert distilled.parameters == prompt.parameters
    assert distilled.metrics != prompt.metrics
    teacher = Eyes.starts[-2]
    assert any('.members.' in name for name in teacher)


def test_what_determines_a_model(members: tuple[Spec, ...]) -> None:
    asked = comparison(members)
    other = comparison((members[0], replace(members[1], seed=members[1].seed + 1)))
    assert asked.configuration('prompt') == other.configuration('prompt')
    assert asked.configuration('pair') != other.configuration('pair')
    options = DistillationOptions(model='pair')
    students = [
        replace(each, initialisations=('distilled',), distillation=options)
        for each in (asked, other)
    ]
    assert len({each.configuration('distilled') for each in students}) == 2


def test_the_report_has_models_beside_the_starts(members: tuple[Spec, ...], tmp_path: Path) -> None:
    asked = comparison(members, 'label', seeds=2, references=('pair', 'scratch'))
    compare(asked, tmp_path, jobs=0, say=lambda line: None)
    written = report(asked, tmp_path)
    tables = written.tables.read_text()
    assert 'minus pair [95 %]' in tables
    assert 'pair cannot be told apart from scratch' not in written.verdict, 'it is the reference'
    assert '| Initialisation or model | Parameters (million) |' in tables
    (line,) = [each for each in tables.splitlines() if each.startswith('| pair | 0.')][-1:]
    cells = [cell.strip() for cell in line.strip('|').split('|')]
    assert len(cells) == 5
    assert all(float(cell) >= 0 for cell in cells[1:])
    page = written.page.read_text()
    assert 'Model pair' in page
    assert 'ms an image' in page


def test_the_verdict_says_what_a_model_is_better_than(
    members: tuple[Spec, ...], tmp_path: Path
) -> None:
    asked = comparison(members, 'label')
    compare(asked, tmp_path, jobs=0, say=lambda line: None)
    verdict = report(asked, tmp_path).verdict
    assert 'pair cannot be told apart from scratch (mean difference' in verdict
    assert 'pair cannot be told apart from prompt (mean difference' in verdict
    assert 'No run started from generated weights' not in verdict


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'models': {'prompt': {'backbone': 'x'}}}, "'prompt' cannot be the name of a model"),
        ({'models': {'a pair': {'backbone': 'x'}}}, "'a pair' cannot be the name of a model"),
        ({'models': {'pair': {}}}, "model 'pair' needs the arguments"),
        ({'references': ('pear',)}, "did you mean 'pair'"),
        ({'initialisations': (), 'models': {}}, '1 or more different initialisations'),
        (
            {'models': {'x': {'backbone': 'tu-geosane_ensemble.test_resnet.rgb', 'weights': True}}},
            'names 1 member',
        ),
        (
            {
                'initialisations': ('distilled',),
                'distillation': DistillationOptions(model='pear'),
            },
            "the teacher 'pear' is none of the models: did you mean 'pair'",
        ),
        (
            {
                'initialisations': ('distilled',),
                'distillation': DistillationOptions(model='pair', start='promt'),
            },
            "cannot start from 'promt': did you mean 'prompt'",
        ),
    ],
)
def test_models_without_sense(
    members: tuple[Spec, ...], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(GeoSANEError) as error:
        comparison(members, **changes)
    assert message in str(error.value)
