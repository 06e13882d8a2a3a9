"""Distillation: what the loss is, whom it teaches, and that it disturbs nothing else."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from specs import MakeSpec
from toy_task import Eyes, toy_fit

from torchgeo_geosane.compare.config import ComparisonConfig
from torchgeo_geosane.compare.distillation import DistillationOptions
from torchgeo_geosane.compare.record import RunKey
from torchgeo_geosane.compare.run import run
from torchgeo_geosane.errors import ComparisonError

pytestmark = pytest.mark.filterwarnings('ignore')

TEACHER = {'mask': {'backbone': 'tu-test_efficientnet'}, 'label': {'model': 'test_efficientnet'}}


@pytest.fixture(autouse=True)
def eyes() -> Iterator[None]:
    yield
    Eyes.close()


def comparison(make_spec: MakeSpec, labels: str, share: float) -> ComparisonConfig:
    fit = toy_fit(labels)
    return ComparisonConfig(
        fit=fit,
        weights=make_spec('test_resnet').url,
        larger=make_spec('test_efficientnet').url,
        initialisations=('scratch', 'distilled'),
        metric='loss',
        mode='min',
        distillation=DistillationOptions(teacher=TEACHER[labels], share=share),
    )


@pytest.mark.parametrize('labels', ['mask', 'label'])
def test_without_a_share_it_is_training_from_scratch(make_spec: MakeSpec, labels: str) -> None:
    """The teacher's training moves neither the head, nor the batches, nor the draws."""
    asked = comparison(make_spec, labels, share=0)
    scratch, distilled = (run(asked, RunKey(name, 0)) for name in ('scratch', 'distilled'))
    assert scratch.metrics == distilled.metrics
    assert scratch.curve == distilled.curve
    assert scratch.parameters == distilled.parameters


def test_the_teacher_is_trained_first_and_then_taught(make_spec: MakeSpec) -> None:
    distilled = run(comparison(make_spec, 'mask', share=1), RunKey('distilled', 0))
    teacher, student = Eyes.starts
    assert teacher.keys() != student.keys()
    assert len(Eyes.ends) == 2
    scratch = run(comparison(make_spec, 'mask', share=0), RunKey('scratch', 0))
    assert distilled.curve[0] != scratch.curve[0]
    assert distilled.metrics != scratch.metrics
    # The start is the same: only the loss is another.
    again = Eyes.starts[-1]
    assert all(torch.equal(student[name], again[name]) for name in student)


@pytest.mark.parametrize('wrong', [{'temperature': 0.0}, {'share': -0.1}, {'share': 1.1}], ids=str)
def test_numbers_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(ComparisonError, match='distillation wants'):
        DistillationOptions(**wrong)


def test_what_a_distillation_needs(make_spec: MakeSpec) -> None:
    whole = comparison(make_spec, 'mask', share=0.5)
    with pytest.raises(ComparisonError, match='needs a larger model'):
        replace(whole, larger=None)
    with pytest.raises(ComparisonError, match=r'teacher: \{backbone'):
        replace(whole, distillation=DistillationOptions())
