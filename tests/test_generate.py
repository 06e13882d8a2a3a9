import random
from dataclasses import replace
from multiprocessing.context import ForkServerContext
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from specs import MakeSpec
from torch import Tensor

from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.foundry.sampling import KDE, Linear, Reconstruct
from torchgeo_geosane.generate import create, generate, identify, take_prompt
from torchgeo_geosane.provenance import digest
from torchgeo_geosane.sensors import get_sensor
from torchgeo_geosane.spec import Spec
from torchgeo_geosane.stem import adapt_stem

FAMILIES = [
    'test_resnet',
    'test_efficientnet',
    'test_vit',
    'test_convnext',
    'resnet18',
    'mobilenetv3_small_050',
]


def fresh(spec: Spec) -> dict[str, Tensor]:
    """Generated now, past the cache."""
    return create(spec, [spec.seed])[0].tensors


def digest_of(spec: Spec) -> str:
    return digest(fresh(spec))


def as_file(path: Path, architecture: str, in_chans: int, **changes: Tensor) -> str:
    """A prompt in a file, some tensors replaced."""
    tensors = get_architecture(architecture, in_chans).initialise(5)
    tensors.update({name.replace('__', '.'): value for name, value in changes.items()})
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return f'file:{path}'


# Same spec, same bytes.


@pytest.mark.parametrize('foundry', ['dense', 'matrices'])
@pytest.mark.parametrize('architecture', ['test_resnet', 'test_vit'])
def test_same_spec_same_bytes(architecture: str, foundry: str, make_spec: MakeSpec) -> None:
    spec = make_spec(architecture, foundry=foundry)
    first = digest_of(spec)
    create(make_spec('test_efficientnet', 'rgb', foundry=foundry, seed=9), [9, 10])
    torch.rand(7)
    assert digest_of(spec) == first
    assert digest(generate(spec).tensors) == first
    assert digest(generate(spec).tensors) == first, 'from the cache'


def test_same_bytes_in_another_process(make_spec: MakeSpec, processes: ForkServerContext) -> None:
    spec = make_spec('test_resnet', prompt='random', seed=3)
    with processes.Pool(1) as pool:
        assert pool.apply(digest_of, [spec]) == digest_of(spec)


def test_global_random_state_is_untouched(make_spec: MakeSpec) -> None:
    def states() -> list[object]:
        numpy_state = str(np.random.get_state())  # noqa: NPY002  The global one is meant.
        return [torch.get_rng_state().tolist(), numpy_state, random.getstate()]

    torch.rand(3)
    before = states()
    generate(make_spec('test_vit'))
    assert states() == before
    generate(make_spec('test_vit'))
    assert states() == before


def test_another_seed_is_another_model(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(prompt=as_file(tmp_path / 'p.safetensors', 'test_resnet', 6))
    one, other = fresh(spec), fresh(replace(spec, seed=1))
    coverage = create(spec, [0])[0].provenance.coverage
    for name, kind in coverage.items():
        assert torch.equal(one[name], other[name]) == (kind != 'generated'), name


def test_every_token_has_noise_of_its_own(make_spec: MakeSpec, tmp_path: Path) -> None:
    prompt = as_file(tmp_path / 'p.safetensors', 'test_resnet', 6)
    quiet = make_spec(prompt=prompt, sampler=KDE(0.0))
    loud = make_spec(prompt=prompt)
    name = 'layer4.0.conv2.weight'
    noise = (fresh(loud)[name] - fresh(quiet)[name]).flatten()
    tokens = noise[: len(noise) // 230 * 230].view(-1, 230)
    tokens = torch.nn.functional.normalize(tokens, dim=1)
    similar = tokens @ tokens.T
    off_diagonal = similar[~torch.eye(len(tokens), dtype=torch.bool)]
    assert tokens.shape[0] > 10
    assert off_diagonal.max() < 0.999
    assert off_diagonal.mean().abs() < 0.2


def test_no_noise_is_the_reconstruction(make_spec: MakeSpec) -> None:
    quiet, plain = make_spec(sampler=KDE(0.0)), make_spec(sampler=Reconstruct())
    assert digest_of(quiet) == digest_of(plain)


def test_candidates_are_what_their_seeds_give(make_spec: MakeSpec, tmp_path: Path) -> None:
    for prompt in ('random', as_file(tmp_path / 'p.safetensors', 'test_resnet', 6)):
        spec = make_spec(prompt=prompt)
        for candidate, seed in zip(create(spec, [4, 5]), [4, 5], strict=True):
            alone = generate(replace(spec, seed=seed))
            assert digest(candidate.tensors) == digest(alone.tensors)
            assert candidate.provenance == alone.provenance
            assert candidate.provenance.key == identify(replace(spec, seed=seed))


# Complete and exact.


@pytest.mark.parametrize('architecture', FAMILIES)
def test_complete_and_exact(architecture: str, make_spec: MakeSpec) -> None:
    generated = generate(make_spec(architecture, 'sentinel2_all'))
    model = timm.create_model(architecture, num_classes=0, in_chans=13)
    wanted = model.state_dict()
    assert list(generated.tensors) == list(wanted)
    for name, tensor in generated.tensors.items():
        assert (tensor.shape, tensor.dtype) == (wanted[name].shape, wanted[name].dtype), name
        assert tensor.is_contiguous()
        assert tensor.device.type == 'cpu'
        assert not tensor.requires_grad
    model.load_state_dict(generated.tensors, strict=True)
    coverage = generated.provenance.coverage
    assert list(coverage) == list(wanted)
    assert sum(generated.provenance.counts().values()) == len(wanted)
    # Everything that the official tokens hold is generated; the rest is the prompt's.
    prompt = get_architecture(architecture, 13).initialise(0)
    for name, kind in coverage.items():
        partner = name.replace('bias', 'weight') if name.endswith('bias') else ''
        matched = partner in wanted and wanted[partner].shape[0] == wanted[name].shape[0]
        assert kind == ('generated' if 'weight' in name or matched else 'prompt'), name
        if kind == 'prompt':
            assert torch.equal(generated.tensors[name], prompt[name]), name


def test_a_vit_keeps_its_tokens_and_positions(make_spec: MakeSpec) -> None:
    generated = generate(make_spec('test_vit'))
    prompt = get_architecture('test_vit', 6).initialise(0)
    for name in ('cls_token', 'pos_embed'):
        assert generated.provenance.coverage[name] == 'prompt'
        assert torch.equal(generated.tensors[name], prompt[name])
    assert generated.provenance.counts() == {'prompt': 2, 'generated': len(prompt) - 2}


def test_only_matrices_are_generated_by_a_foundry_of_matrices(make_spec: MakeSpec) -> None:
    generated = generate(make_spec('test_resnet', foundry='matrices'))
    prompt = get_architecture('test_resnet', 6).initialise(0)
    for name, kind in generated.provenance.coverage.items():
        assert kind == ('generated' if prompt[name].ndim >= 2 else 'prompt')
        if kind == 'generated':
            rows = (
                tensor.flatten(1).norm(dim=1) for tensor in (generated.tensors[name], prompt[name])
            )
            torch.testing.assert_close(*rows)


def test_what_a_prompt_lacks_is_initialised(make_spec: MakeSpec, tmp_path: Path) -> None:
    tensors = get_architecture('test_resnet', 6).initialise(5)
    lacking = ['layer4.0.conv2.weight', 'layer4.0.bn2.weight', 'bn1.num_batches_tracked']
    save_file({n: t for n, t in tensors.items() if n not in lacking}, tmp_path / 'p.safetensors')
    spec = make_spec(prompt=f'file:{tmp_path / "p.safetensors"}', seed=2)
    generated = generate(spec)
    coverage = generated.provenance.coverage
    assert [name for name, kind in coverage.items() if kind == 'initialised'] == sorted(
        lacking, key=list(tensors).index
    )
    initialised = get_architecture('test_resnet', 6).initialise(2)
    for name in lacking:
        assert torch.equal(generated.tensors[name], initialised[name])
    assert digest_of(spec) == digest(generated.tensors)
    other = fresh(replace(spec, seed=3))
    assert not torch.equal(other[lacking[0]], generated.tensors[lacking[0]])


def test_half_precision_and_integers_of_a_prompt(make_spec: MakeSpec, tmp_path: Path) -> None:
    halves = {
        name: tensor.half() if tensor.is_floating_point() else tensor + 7
        for name, tensor in get_architecture('test_resnet', 6).initialise(5).items()
    }
    save_file(halves, tmp_path / 'p.safetensors')
    generated = generate(make_spec(prompt=f'file:{tmp_path / "p.safetensors"}'))
    assert generated.tensors['bn1.running_var'].dtype == torch.float32
    assert generated.tensors['bn1.num_batches_tracked'].dtype == torch.int64
    assert generated.tensors['bn1.num_batches_tracked'] == 7


def test_the_head_of_a_prompt_is_left_out(make_spec: MakeSpec, tmp_path: Path) -> None:
    whole = timm.create_model('test_resnet', num_classes=4, in_chans=6)
    torch.save({'state_dict': whole.state_dict()}, tmp_path / 'p.pth')
    generated = generate(make_spec(prompt=f'file:{tmp_path / "p.pth"}'))
    assert set(whole.state_dict()) - set(generated.tensors) == {'fc.weight', 'fc.bias'}


def test_mixing_two_prompts(make_spec: MakeSpec, tmp_path: Path) -> None:
    first = as_file(tmp_path / 'a.safetensors', 'test_resnet', 6)
    tensors = get_architecture('test_resnet', 6).initialise(5)
    mean = torch.full_like(tensors['bn1.running_mean'], 4.0)
    second = as_file(tmp_path / 'b.safetensors', 'test_resnet', 6, bn1__running_mean=mean)
    spec = replace(make_spec(), prompts=(first, second), sampler=Linear(0.25))
    generated = generate(spec)
    torch.testing.assert_close(generated.tensors['bn1.running_mean'], mean / 4)
    assert [prompt.name for prompt in generated.provenance.prompts] == [first, second]


def test_a_tensor_of_two_names_is_one(make_spec: MakeSpec) -> None:
    # CoaT runs its position encodings in several blocks. Each name with noise of its own would be
    # a model that no state dict can restore.
    generated = generate(make_spec('coat_lite_tiny'))
    tied = get_architecture('coat_lite_tiny').tied
    assert tied['serial_blocks1.0.cpe.proj.weight'] == 'cpe1.proj.weight'
    for name, first in tied.items():
        assert torch.equal(generated.tensors[name], generated.tensors[first])
        assert generated.provenance.coverage[name] == generated.provenance.coverage[first]
    assert generated.provenance.coverage['cpe1.proj.weight'] == 'generated'


# Honest names.


def test_a_stem_of_other_bands_is_adapted_and_said_so(efficientnet: Spec) -> None:
    record = generate(efficientnet).provenance
    (stem,) = get_architecture(efficientnet.architecture).stems
    assert record.stem.adapted
    assert record.stem.tensors == (stem,)
    assert record.stem.prompt_bands == get_sensor('sentinel2_6').band_names
    assert record.stem.bands == get_sensor('sentinel2_all').band_names
    assert record.coverage[stem] == 'adapted'
    assert record.prompts[0].sensor == 'sentinel2_6'
    assert list(record.coverage.values()).count('adapted') == 1


def test_every_branch_of_a_stem_is_adapted(tmp_path: Path, make_spec: MakeSpec) -> None:
    save_file(get_architecture('fastvit_t8', 3).initialise(0), tmp_path / 'rgb.safetensors')
    prompt = f'file:{tmp_path / "rgb.safetensors"}@rgb'
    generated = generate(make_spec('fastvit_t8', 'sentinel2_6', prompt))
    branches = [name for name, kind in generated.provenance.coverage.items() if kind == 'adapted']
    assert branches == ['stem.0.conv_kxk.0.conv.weight', 'stem.0.conv_scale.conv.weight']
    assert generated.provenance.stem.tensors == tuple(branches)
    assert all(generated.tensors[name].shape[1] == 6 for name in branches)


def test_the_adapted_stem_is_the_generated_one_in_other_bands(efficientnet: Spec) -> None:
    wide = generate(efficientnet)
    six = replace(efficientnet, sensor='sentinel2_6')
    plain = generate(six)
    assert not plain.provenance.stem.adapted
    assert 'adapted' not in plain.provenance.counts()
    (stem,) = get_architecture(six.architecture).stems
    expected = adapt_stem(plain.tensors[stem], six.target.bands, efficientnet.target.bands)
    assert torch.equal(wide.tensors[stem], expected)
    for name, kind in plain.provenance.coverage.items():
        if name != stem and kind != 'initialised':
            assert torch.equal(plain.tensors[name], wide.tensors[name]), name


def test_a_real_prompt(efficientnet: Spec) -> None:
    generated = generate(efficientnet)
    counts = generated.provenance.counts()
    assert counts['adapted'] == 1
    assert counts['generated'] == 412
    # The packaged U-Nets have no batch counters, and not the last convolution with its norm.
    lacking = {
        name
        for name, kind in generated.provenance.coverage.items()
        if kind == 'initialised' and not name.endswith('num_batches_tracked')
    }
    norm = ('weight', 'bias', 'running_mean', 'running_var')
    assert lacking == {'conv_head.weight', *(f'bn2.{name}' for name in norm)}
    assert generated.provenance.licence == 'MIT, Apache-2.0'
    statistics = take_prompt(efficientnet)
    name = 'blocks.3.2.bn2.running_var'
    assert torch.equal(generated.tensors[name], statistics[name])


def test_take_prompt_is_the_prompt(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(prompt=as_file(tmp_path / 'p.safetensors', 'test_resnet', 6))
    assert digest(take_prompt(spec)) == digest(get_architecture('test_resnet', 6).initialise(5))
