"""Single runs: what they start from, what pairs them, what they leave behind."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from specs import MakeSpec
from toy_task import BANDS, Eyes, toy_fit

from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.compare.config import ComparisonConfig
from torchgeo_geosane.compare.material import SelectionOptions
from torchgeo_geosane.compare.record import RunKey
from torchgeo_geosane.compare.run import run
from torchgeo_geosane.errors import ArchitectureError, ComparisonError
from torchgeo_geosane.generate import generate
from torchgeo_geosane.spec import Spec

pytestmark = pytest.mark.filterwarnings('ignore')

(STEM,) = get_architecture('test_resnet').stems


@pytest.fixture
def spec(make_spec: MakeSpec) -> Spec:
    return make_spec('test_resnet', 'sentinel2_6')


@pytest.fixture
def segmentation(spec: Spec) -> ComparisonConfig:
    return ComparisonConfig(
        fit=toy_fit('mask', {'class_path': 'torchgeo_geosane.callbacks.MeanIoU'}),
        weights=spec.url,
        selection=SelectionOptions(candidates=2, keep=2, batches=4),
    )


@pytest.fixture
def classification(spec: Spec) -> ComparisonConfig:
    return ComparisonConfig(fit=toy_fit('label'), weights=spec.url, metric='loss', mode='min')


def test_runs_of_a_seed_are_paired(segmentation: ComparisonConfig) -> None:
    keys = [RunKey('scratch', 0), RunKey('generated', 0), RunKey('scratch', 1)]
    records = [run(segmentation, key) for key in keys]
    (scratch, generated, other), (seen, seen_too, seen_else) = Eyes.starts, Eyes.batches
    decoder = [name for name in scratch if name.startswith(('model.decoder', 'model.segm'))]
    assert len(decoder) > 10
    assert all(torch.equal(scratch[name], generated[name]) for name in decoder)
    assert any(not torch.equal(scratch[name], other[name]) for name in decoder)
    assert len(seen) == 4
    assert all(torch.equal(one, two) for one, two in zip(seen, seen_too, strict=True))
    assert not torch.equal(seen[0], seen_else[0])
    encoder = [name for name in scratch if 'encoder' in name and not _is_statistic(name)]
    assert any(not torch.equal(scratch[name], generated[name]) for name in encoder)
    assert records[0].metrics['test_mIoU'] != records[1].metrics['test_mIoU']


def test_a_run_can_be_repeated(segmentation: ComparisonConfig) -> None:
    first, again = (run(segmentation, RunKey('generated', 3)) for _ in range(2))
    clocks: dict[str, Any] = dict.fromkeys(('seconds', 'training_seconds', 'image_ms'), 0.0)
    assert replace(first, **clocks) == replace(again, **clocks)


def test_what_a_record_tells(segmentation: ComparisonConfig) -> None:
    record = run(segmentation, RunKey('prompt', 0))
    assert record.key == RunKey('prompt', 0)
    assert [step for step, _ in record.curve] == [1, 2, 3, 4]
    ((step, value),) = record.validation
    assert step == 4
    assert 0 <= value <= 1
    assert 0 <= record.metrics['test_mIoU'] <= 1
    assert record.parameters == sum(
        tensor.numel() for name, tensor in Eyes.ends[0].items() if not _is_statistic(name)
    )
    assert record.seconds > 0
    assert record.configuration == segmentation.configuration('prompt')
    assert (record.metric, record.mode) == (segmentation.metric, segmentation.mode)
    assert record.task == segmentation.task != record.configuration


def _is_statistic(name: str) -> bool:
    return name.endswith(('running_mean', 'running_var', 'num_batches_tracked'))


@pytest.mark.parametrize('kind', ['segmentation', 'classification'])
def test_the_training_starts_from_the_weights(
    kind: str, spec: Spec, request: pytest.FixtureRequest
) -> None:
    run(request.getfixturevalue(kind), RunKey('generated', 5))
    wanted = generate(replace(spec, seed=5)).tensors
    (start,) = Eyes.starts
    found = sum(
        any(torch.equal(tensor, own) for own in start.values())
        for name, tensor in wanted.items()
        if not name.endswith('num_batches_tracked')
    )
    assert found == sum(not name.endswith('num_batches_tracked') for name in wanted)


def test_weights_that_change_on_the_way_are_noticed(segmentation: ComparisonConfig) -> None:
    fit = toy_fit('mask', {'class_path': 'torchgeo_geosane.callbacks.MeanIoU'})
    fit['trainer']['callbacks'].append({'class_path': 'toy_task.Meddle'})
    with pytest.raises(ComparisonError, match='does not start from the weights'):
        run(replace(segmentation, fit=fit), RunKey('prompt', 0))


@pytest.mark.parametrize('kind', ['segmentation', 'classification'])
@pytest.mark.parametrize('conditioned', [False, True])
def test_a_linear_probe_leaves_the_backbone(
    kind: str, conditioned: bool, spec: Spec, request: pytest.FixtureRequest
) -> None:
    key = RunKey('generated', 0, method='linear_probe', conditioned=conditioned)
    run(request.getfixturevalue(kind), key)
    wanted = generate(spec).tensors
    (start,), (end,) = Eyes.starts, Eyes.ends
    changed = {name for name in start if not torch.equal(start[name], end[name])}
    heads = ('model.decoder', 'model.segmentation_head', 'model.fc')
    assert changed
    statistics = {name for name in changed if _is_statistic(name)}
    trained = {name for name in changed if name.startswith(heads)}
    assert changed <= trained | statistics
    # Eyes look before BatchNorm is conditioned: only then do statistics of the backbone change.
    assert bool(statistics - trained) == conditioned
    assert any(torch.equal(tensor, wanted[STEM]) for tensor in end.values())


def test_conditioning_does_not_unpair(segmentation: ComparisonConfig) -> None:
    for conditioned in (False, True):
        run(segmentation, RunKey('generated', 0, conditioned=conditioned))
    plain, conditioned_too = Eyes.batches
    assert all(torch.equal(one, two) for one, two in zip(plain, conditioned_too, strict=True))


@pytest.mark.parametrize('name', ['generated_best', 'generated_average'])
def test_the_best_of_several(name: str, segmentation: ComparisonConfig) -> None:
    best, plain = (run(segmentation, RunKey(each, 0)) for each in (name, 'scratch'))
    assert all(torch.equal(one, two) for one, two in zip(*Eyes.batches, strict=True))
    assert best.curve != plain.curve


def test_fractions(segmentation: ComparisonConfig) -> None:
    run(segmentation, RunKey('prompt', 0, fraction=0.25))
    assert [len(batch) for batch in Eyes.batches[0]] == [4]


def changed_fit(part: str, **arguments: Any) -> dict[str, Any]:
    fit = toy_fit('mask', {'class_path': 'torchgeo_geosane.callbacks.MeanIoU'})
    fit[part]['init_args'] |= arguments
    return fit


@pytest.mark.parametrize(
    ('changes', 'error', 'message'),
    [
        ({'fit': changed_fit('model', backbone='tu-test_vit')}, Exception, 'test_vit'),
        ({'fit': changed_fit('model', in_channels=BANDS + 1)}, ArchitectureError, '6 bands'),
        ({'fit': changed_fit('data', batch_sizes=1)}, ComparisonError, 'batch_sizes'),
        ({'metric': 'mIou'}, ComparisonError, "did you mean 'val_mIoU'"),
    ],
)
def test_mistakes_are_told(
    changes: dict[str, Any],
    error: type[Exception],
    message: str,
    segmentation: ComparisonConfig,
) -> None:
    with pytest.raises(error, match=message):
        run(replace(segmentation, **changes), RunKey('prompt', 0))
