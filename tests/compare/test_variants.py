"""Other weights beside the comparison's: by a name of one's own."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from specs import MakeSpec
from toy_task import Eyes, toy_fit

from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.compare.config import ComparisonConfig
from torchgeo_geosane.compare.record import RunKey
from torchgeo_geosane.compare.run import run
from torchgeo_geosane.errors import ComparisonError
from torchgeo_geosane.foundry.sampling import Average, MeanKDE
from torchgeo_geosane.generate import generate
from torchgeo_geosane.spec import Spec

pytestmark = pytest.mark.filterwarnings('ignore')


@pytest.fixture
def pair(make_spec: MakeSpec, tmp_path: Path) -> Spec:
    """Weights around two prompts, of any seed."""
    names = []
    for seed in (0, 1):
        path = tmp_path / f'model{seed}.pth'
        torch.save(get_architecture('test_resnet', 6).initialise(seed), path)
        names.append(f'file:{path}')
    prompts = tuple(names)
    return replace(make_spec('test_resnet', 'sentinel2_6'), prompts=prompts, sampler=MeanKDE())


def comparison(pair: Spec, variants: dict[str, Spec]) -> ComparisonConfig:
    return ComparisonConfig(
        fit=toy_fit('label'),
        weights=pair.url,
        initialisations=('prompt', *variants),
        variants={name: spec.url for name, spec in variants.items()},
        metric='loss',
        mode='min',
    )


def test_a_run_starts_from_the_variant_of_its_seed(pair: Spec) -> None:
    asked = comparison(pair, {'wide': replace(pair, sampler=MeanKDE(0.7), seed=9)})
    assert [key.initialisation for key in asked.runs()][:2] == ['prompt', 'wide']
    record = run(asked, RunKey('wide', 1))
    assert record.configuration == asked.configuration('wide') != asked.configuration('prompt')
    expected = generate(replace(pair, sampler=MeanKDE(0.7), seed=1)).tensors
    (start,) = Eyes.starts
    assert all(
        any(torch.equal(tensor, own) for own in start.values())
        for name, tensor in expected.items()
        if not name.endswith('num_batches_tracked')
    )


def test_averages_are_conditioned_where_they_are_aligned(pair: Spec) -> None:
    average = replace(pair, sampler=Average())
    assert comparison(pair, {'average': average}).conditioned == (False,)
    assert comparison(pair, {'average': replace(average, align=True)}).conditioned == (True,)


def test_another_foundry_concerns_only_what_it_makes(pair: Spec, foundries: dict[str, str]) -> None:
    changed = set()
    for name, spec in (
        ('drawn', pair),
        ('average', replace(pair, sampler=Average())),
        ('aligned', replace(pair, sampler=Average(), align=True)),
    ):
        one, other = (
            comparison(pair, {name: replace(spec, foundry=foundries[kind])}).configuration(name)
            for kind in ('dense', 'matrices')
        )
        if one != other:
            changed.add(name)
    # What is aligned may be aligned to a network that the foundry keeps.
    assert changed == {'drawn', 'aligned'}


def test_what_is_no_variant_is_refused(pair: Spec) -> None:
    with pytest.raises(ComparisonError, match='cannot be the name of a variant'):
        comparison(pair, {'soup': pair})
    with pytest.raises(ComparisonError, match=r'sentinel2_4.*models'):
        comparison(pair, {'other': replace(pair, sensor='sentinel2_4')})
    with pytest.raises(ComparisonError, match="did you mean 'wide'"):
        replace(comparison(pair, {'wide': pair}), initialisations=('widen',))
    with pytest.raises(ComparisonError, match='a variant'):
        replace(comparison(pair, {'wide': pair}), models={'wide': {'model': 'test_vit'}})
