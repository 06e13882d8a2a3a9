from dataclasses import replace
from pathlib import Path

import pytest
import torch
from specs import MakeSpec

from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.callbacks import SelectCandidates
from torchgeo_geosane.callbacks.candidates import average
from torchgeo_geosane.compare.arithmetic import State
from torchgeo_geosane.compare.initialisations import INITIALISATIONS
from torchgeo_geosane.compare.material import Material, MergeOptions, SelectionOptions, Start
from torchgeo_geosane.errors import ComparisonError, PromptError
from torchgeo_geosane.foundry.sampling import KDE, MeanKDE
from torchgeo_geosane.generate import generate, take_prompt
from torchgeo_geosane.spec import Spec

STATES = [
    *('prompt', 'reconstruction', 'prompt_noise'),
    *('soup', 'ties', 'dare', 'generated', 'generated_one_prompt'),
]


@pytest.fixture
def prompts(tmp_path: Path) -> tuple[str, ...]:
    """Three models: two see six bands, one sees four of them."""
    names = []
    for seed, sensor in enumerate(('sentinel2_6', 'sentinel2_6', 'sentinel2_4')):
        path = tmp_path / f'model{seed}.pth'
        channels = 4 if sensor.endswith('4') else 6
        torch.save(get_architecture('test_vit', channels).initialise(seed), path)
        names.append(f'file:{path}@{sensor}')
    return tuple(names)


@pytest.fixture
def material(make_spec: MakeSpec, prompts: tuple[str, ...]) -> Material:
    return Material(
        make_spec('test_vit', 'sentinel2_all', prompts[0]),
        MergeOptions(prompts),
        SelectionOptions(candidates=4, keep=2, batches=1),
    )


def start(name: str, material: Material, seed: int = 0) -> Start:
    return INITIALISATIONS[name].make(material, seed)


def assert_complete(tensors: State | None, architecture: str, in_chans: int) -> None:
    assert tensors is not None
    found = {key: (tuple(tensor.shape), tensor.dtype) for key, tensor in tensors.items()}
    assert found == dict(get_architecture(architecture, in_chans).shapes)
    assert all(torch.isfinite(tensor).all() for tensor in tensors.values())


@pytest.mark.parametrize('name', STATES)
def test_every_state_is_complete_and_finite(name: str, material: Material) -> None:
    tensors = start(name, material).tensors
    assert_complete(tensors, 'test_vit', 13)
    assert tensors is not None
    again = start(name, material).tensors
    assert again is not None
    assert all(torch.equal(tensor, again[key]) for key, tensor in tensors.items())


def test_weights_are_selected_from_a_larger_model_in_the_sensors_bands(
    make_spec: MakeSpec,
) -> None:
    small, larger = make_spec('test_convnext3', 'sentinel2_all'), make_spec('test_convnext2')
    tensors = start('weight_selection', Material(small, larger=larger)).tensors
    assert_complete(tensors, 'test_convnext3', 13)


@pytest.mark.parametrize('name', ['reconstruction', 'prompt_noise', 'generated_one_prompt'])
def test_what_is_of_one_prompt_needs_no_reference_to_be_aligned_to(
    name: str, material: Material, prompts: tuple[str, ...]
) -> None:
    spec = replace(material.spec, prompts=prompts[:2], sampler=MeanKDE())
    plain, aligned = (
        start(name, Material(replace(spec, align=align))).tensors for align in (False, True)
    )
    assert plain is not None
    assert aligned is not None
    assert all(torch.equal(tensor, aligned[key]) for key, tensor in plain.items())


@pytest.mark.parametrize('name', ['prompt_noise', 'dare', 'generated'])
def test_what_is_random_differs_from_seed_to_seed(name: str, material: Material) -> None:
    one, other = (start(name, material, seed).tensors for seed in (0, 1))
    assert one is not None
    assert other is not None
    assert any(not torch.equal(tensor, other[key]) for key, tensor in one.items())


def test_what_they_are(material: Material, prompts: tuple[str, ...]) -> None:
    spec = material.spec
    models = [
        take_prompt(Spec('test_vit', 'sentinel2_all', (prompt,), spec.foundry))
        for prompt in prompts
    ]
    expected = {
        'prompt': models[0],
        'soup': average(models),
        'generated': generate(Spec('test_vit', 'sentinel2_all', prompts[:1], spec.foundry)).tensors,
    }
    for name, tensors in expected.items():
        found = start(name, material).tensors
        assert found is not None
        assert all(torch.equal(found[key], tensor) for key, tensor in tensors.items()), name
    assert start('scratch', material) == Start()


def test_around_several_prompts_and_around_the_first_alone(
    material: Material, prompts: tuple[str, ...]
) -> None:
    spec = replace(material.spec, prompts=prompts[:2], sampler=MeanKDE(0.3))
    alone = Spec('test_vit', 'sentinel2_all', prompts[:1], spec.foundry, KDE(0.3))
    for name, expected in (('generated', spec), ('generated_one_prompt', alone)):
        found = start(name, Material(spec)).tensors
        assert found is not None
        tensors = generate(expected).tensors
        assert all(torch.equal(found[key], tensor) for key, tensor in tensors.items()), name
    noisy = start('prompt_noise', Material(spec)).tensors
    same = start('prompt_noise', Material(alone)).tensors
    assert noisy is not None
    assert same is not None
    assert all(torch.equal(noisy[key], tensor) for key, tensor in same.items())


def test_a_merge_starts_from_its_base(material: Material, prompts: tuple[str, ...]) -> None:
    """With nearly nothing of the task vectors, only the base is left."""
    merge = MergeOptions(prompts[:1], prompts[1], ties_density=1e-9)
    merged = start('ties', Material(material.spec, merge)).tensors
    base = take_prompt(Spec('test_vit', 'sentinel2_all', prompts[1:2], material.spec.foundry))
    assert merged is not None
    (stem,) = get_architecture('test_vit').stems
    assert (merged[stem] != base[stem]).sum() == 1


@pytest.mark.parametrize(('name', 'keep'), [('generated_best', 1), ('generated_average', 2)])
def test_candidates_are_drawn_in_training(name: str, keep: int, material: Material) -> None:
    starts = [start(name, material, seed) for seed in (0, 1)]
    for each in starts:
        (chosen,) = each.callbacks
        assert isinstance(chosen, SelectCandidates)
        assert (chosen.candidates, chosen.keep) == (4, keep)
    seeds = [range(each.spec.seed, each.spec.seed + 4) for each in starts if each.spec]
    assert not set(seeds[0]) & set(seeds[1]), 'seeds of a comparison share no candidate'


def test_a_prompt_of_another_architecture_is_refused(
    material: Material, make_spec: MakeSpec
) -> None:
    asked = Material(make_spec('test_resnet', 'sentinel2_6'), MergeOptions(material.merge.prompts))
    with pytest.raises(PromptError):
        start('soup', asked)


def test_what_is_missing_is_named(material: Material) -> None:
    with pytest.raises(ComparisonError, match='larger'):
        start('weight_selection', Material(material.spec))
    with pytest.raises(ComparisonError, match='density'):
        MergeOptions(ties_density=0)


def test_an_identity_tells_what_matters(material: Material) -> None:
    merge = MergeOptions(material.merge.prompts, dare_density=0.9)
    other = Material(material.spec, merge)
    changed = {
        name
        for name, each in INITIALISATIONS.items()
        if each.identify(material) != each.identify(other)
    }
    merged, selected = (
        {'soup', 'greedy_soup', 'ties', 'dare'},
        {'generated_best', 'generated_average'},
    )
    assert changed == merged | selected
