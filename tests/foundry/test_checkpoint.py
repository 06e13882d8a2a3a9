import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from golden import MakeModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from torchgeo_geosane.foundry import checkpoint
from torchgeo_geosane.foundry.autoencoder import WeightAutoencoder
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.foundry.errors import FoundryError
from torchgeo_geosane.foundry.foundry import Foundry
from torchgeo_geosane.foundry.stored import StoredTensor, contiguous_strides

VARIANTS: list[dict[str, Any]] = [
    {},
    {'detokenizer': 'hidden'},
    {'detokenizer': 'skip'},
    {'positions': 'quantized', 'relative_positions': True, 'position_buckets': 64},
    {'positions': 'learned', 'max_positions': (40, 10, 20)},
    {'layer_types': True},
    {'layer_types': True, 'layer_types_encoder_only': True},
    {'projection_dim': 0, 'relative_positions': True},
]


def same(first: WeightAutoencoder, second: WeightAutoencoder) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return list(ours) == list(theirs) and all(
        torch.equal(ours[name], theirs[name]) for name in ours
    )


@pytest.mark.parametrize('variant', VARIANTS, ids=str)
def test_round_trips_are_exact(
    variant: dict[str, Any], make_model: MakeModel, tmp_path: Path
) -> None:
    model = make_model(**variant)
    checkpoint.save(tmp_path / 'foundry.safetensors', model, {'licence': 'MIT'})
    ours = Foundry.load(str(tmp_path / 'foundry.safetensors'))
    assert ours.config == model.config
    assert ours.info == {'licence': 'MIT'}
    assert same(ours.model, model)

    checkpoint.save_official(tmp_path / 'official', model)
    official = Foundry.load(str(tmp_path / 'official'))
    # The official parameters name no halo.
    assert {**vars(official.config), 'halo': 3} == vars(model.config)
    assert same(official.model, model)


@pytest.mark.parametrize('variant', VARIANTS, ids=str)
def test_every_variant_encodes_and_decodes(variant: dict[str, Any], make_model: MakeModel) -> None:
    model = make_model(**variant)
    tokens, kinds = torch.randn(2, 12, 16), torch.arange(12).remainder(9).repeat(2, 1)
    positions: Tensor = torch.arange(12)[None, :, None].repeat(2, 1, 3).remainder(10)
    if model.config.relative_positions:
        positions = positions / 11
    z = model.encode(tokens, positions, kinds)
    assert z.shape == (2, 12, 8)
    assert model.decode(z, positions, kinds).shape == tokens.shape
    # Positions matter, and kinds matter where they are embedded, and only there.
    assert not torch.equal(model.encode(tokens, positions.flip(1), kinds), z)
    assert (
        torch.equal(model.encode(tokens, positions, kinds.flip(1)), z) != model.config.layer_types
    )
    decoded = model.decode(z, positions, kinds)
    kinds_matter = model.config.layer_types and not model.config.layer_types_encoder_only
    assert torch.equal(model.decode(z, positions, kinds.flip(1)), decoded) != kinds_matter


def test_quantized_positions(make_model: MakeModel) -> None:
    model = make_model(positions='quantized', relative_positions=True, position_buckets=5)
    near, level, beyond = (torch.full((1, 3), value) for value in (0.27, 0.25, 1.7))
    assert torch.equal(model.pe(near), model.pe(level))
    assert torch.equal(model.pe(near), model.pe(torch.ones(1, 3, dtype=torch.int64)))
    assert torch.equal(model.pe(beyond), model.pe(torch.ones(1, 3)))


def test_learned_positions(make_model: MakeModel) -> None:
    model = make_model(positions='learned', max_positions=(40, 10, 20))
    embedded = model.pe(torch.tensor([[3, 2, 7]]))[0]
    first = model.pe.pe1.weight[3] + model.pe.pe2.weight[2]
    assert torch.equal(embedded, torch.cat([first, model.pe.pe3.weight[7]]))


def test_the_official_layout_has_no_word_for_our_tokens(
    make_model: MakeModel, tmp_path: Path
) -> None:
    with pytest.raises(FoundryError, match="row_scale 'rms'"):
        checkpoint.save_official(tmp_path, make_model(row_scale='rms'))
    assert not list(tmp_path.iterdir())


def test_half_precision_on_disk(make_model: MakeModel, tmp_path: Path) -> None:
    model = make_model()
    checkpoint.save(tmp_path / 'f.safetensors', model, {}, torch.float16)
    loaded = Foundry.load(str(tmp_path / 'f.safetensors')).model
    assert loaded.tokenizer.weight.dtype == torch.float32
    assert torch.equal(loaded.tokenizer.weight, model.tokenizer.weight.half().float())


def test_linear_maps_in_half_precision(make_model: MakeModel, tmp_path: Path) -> None:
    model = make_model()
    checkpoint.save(tmp_path / 'f.safetensors', model, {})
    loaded = Foundry.load(str(tmp_path / 'f.safetensors'), precision=torch.bfloat16).model
    norms = {
        f'{name}.{parameter}'
        for name, module in model.named_modules()
        if isinstance(module, nn.LayerNorm)
        for parameter, _ in module.named_parameters()
    }
    kept = {name for name, tensor in loaded.named_parameters() if tensor.dtype == torch.float32}
    assert norms
    assert kept == norms
    for name, tensor in loaded.named_parameters():
        assert torch.equal(tensor, model.get_parameter(name).to(tensor.dtype))


def test_official_safetensors_without_div_term(golden_copy: Path) -> None:
    file = golden_copy / 'checkpoint_000300' / 'state.pt'
    model = torch.load(file, weights_only=True)['model']
    del model['_orig_mod.pe.div_term']
    file.unlink()
    save_file(model, golden_copy / 'model.safetensors')
    loaded = Foundry.load(str(golden_copy)).model
    assert loaded.pe.div_term.shape == (32,)


@pytest.fixture
def golden_copy(official: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(official, tmp_path / 'resnet'))


def edit_params(folder: Path, **changes: object) -> None:
    file = folder / 'params.json'
    params = json.loads(file.read_text())
    for key, value in changes.items():
        params['ae:' + key] = value
    file.write_text(json.dumps({key: value for key, value in params.items() if value is not None}))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'nhead': None}, r'lacks "ae:nhead".*cannot be told from shapes'),
        ({'nhead': 5}, r'divisible by nhead 5'),
        ({'nhead': '4'}, r"nhead must be a positive integer, not '4'"),
        ({'d_model': 128}, r'"ae:d_model": 128, but the tensors have 64'),
        ({'num_layers': 3}, r'"ae:num_layers": 3, but the tensors have 2'),
        ({'lat_dim': 8}, r'"ae:lat_dim": 8, but the tensors have 16'),
        ({'i_dim': 100}, r'"ae:i_dim": 100, but the tensors have 230'),
        ({'use_layer_embs': True}, r'"ae:use_layer_embs": True, but the tensors have False'),
        ({'pos_emb_type': 'learned'}, r'do not have the three position tables'),
        ({'pos_emb_type': 'functionel'}, r"did you mean 'functional'"),
        ({'num_pos_buckets': 'many'}, r'position_buckets must be a positive integer'),
        ({'dropout': 'some'}, r'dropout must be a number'),
    ],
)
def test_params_that_contradict(
    changes: dict[str, object], message: str, golden_copy: Path
) -> None:
    edit_params(golden_copy, **changes)
    with pytest.raises(FoundryError, match=message):
        Foundry.load(str(golden_copy))


@pytest.mark.parametrize('text', ['', '[1, 2]', 'null', '{"ae:nhead": '])
def test_params_that_are_no_object(text: str, golden_copy: Path) -> None:
    (golden_copy / 'params.json').write_text(text)
    with pytest.raises(FoundryError, match=r'params\.json.* is not (a )?readable JSON'):
        Foundry.load(str(golden_copy))


def test_no_params(golden_copy: Path) -> None:
    (golden_copy / 'params.json').unlink()
    with pytest.raises(FoundryError, match=r"no 'params\.json' beside"):
        Foundry.load(str(golden_copy))


def _without_bias(model: dict[str, Tensor]) -> None:
    del model['_orig_mod.encoder_comp.bias']


def _with_stranger(model: dict[str, Tensor]) -> None:
    model['_orig_mod.stranger'] = torch.zeros(3)


def _with_integers(model: dict[str, Tensor]) -> None:
    model['_orig_mod.tokenizer.bias'] = torch.zeros(64, dtype=torch.int64)


def _with_nan(model: dict[str, Tensor]) -> None:
    model['_orig_mod.tokenizer.bias'][3] = torch.nan


def _with_other_shape(model: dict[str, Tensor]) -> None:
    model['_orig_mod.tokenizer.bias'] = torch.zeros(63)


def _with_a_vector(model: dict[str, Tensor]) -> None:
    model['_orig_mod.encoder_comp.weight'] = torch.zeros(64)


def _with_no_latent(model: dict[str, Tensor]) -> None:
    model['_orig_mod.encoder_comp.weight'] = torch.zeros(0, 64)


def _with_expanded(model: dict[str, Tensor]) -> None:
    model['_orig_mod.tokenizer.weight'] = torch.zeros(1, dtype=torch.half).expand(64, 230)


def _with_text(model: dict[str, Any]) -> None:
    model['_orig_mod.note'] = 'hello'


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (_without_bias, r"lacks the tensor 'encoder_comp\.bias'"),
        (_with_stranger, r"unknown tensor 'stranger' \(3,\)"),
        (_with_integers, r"'tokenizer\.bias' holds torch\.int64"),
        (_with_nan, r"damaged: 'tokenizer\.bias' holds NaN"),
        (_with_other_shape, r"'tokenizer\.bias' has shape \(63,\).*\(64,\)"),
        (_with_a_vector, r"'encoder_comp\.weight' has shape \(64,\).*is a matrix"),
        (_with_no_latent, r"'encoder_comp\.weight' has shape \(0, 64\).*is a matrix"),
        (_with_expanded, r"'tokenizer\.weight'.*fewer numbers than its shape says"),
        (_with_text, r"'_orig_mod\.note' is not a tensor"),
    ],
)
def test_damaged_tensors(damage: Any, message: str, golden_copy: Path) -> None:
    file = golden_copy / 'checkpoint_000300' / 'state.pt'
    content = torch.load(file, weights_only=True)
    damage(content['model'])
    torch.save(content, file)
    with pytest.raises(FoundryError, match=message):
        Foundry.load(str(golden_copy))


def test_optimizer_only(golden_copy: Path) -> None:
    torch.save({'optimizer': {'state': {}}}, golden_copy / 'checkpoint_000300' / 'state.pt')
    with pytest.raises(FoundryError, match=r"no 'model' entry.*it holds \['optimizer'\]"):
        Foundry.load(str(golden_copy))


class Malicious:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path('touched'),)


def test_pickle_with_code_is_refused(golden_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(golden_copy)
    torch.save({'model': {'a': Malicious()}}, golden_copy / 'checkpoint_000300' / 'state.pt')
    with pytest.raises(FoundryError, match='holds more than tensors and was not opened'):
        Foundry.load(str(golden_copy))
    assert not Path('touched').exists()


@pytest.mark.parametrize('keep', [0, 100, 900_000])
@pytest.mark.parametrize('kind', ['state.pt', 'model.safetensors'])
def test_truncated(kind: str, keep: int, golden_copy: Path) -> None:
    file = golden_copy / 'checkpoint_000300' / 'state.pt'
    if kind == 'model.safetensors':
        save_file(torch.load(file, weights_only=True)['model'], file.with_name(kind))
        file.unlink()
        file = file.with_name(kind)
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(FoundryError, match=r'truncated|not a readable'):
        Foundry.load(str(golden_copy))


def test_our_configuration_against_our_tensors(make_model: MakeModel, tmp_path: Path) -> None:
    file = tmp_path / 'f.safetensors'
    checkpoint.save(file, make_model(), {})
    text = make_model(latent_dim=4).config.to_json()
    save_file(load_file(file), file, {'format': checkpoint.FORMAT, 'config': text})
    with pytest.raises(FoundryError, match='says latent_dim 4, its tensors have 8'):
        Foundry.load(str(file))


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'not JSON'),
        ('{"d_modle": 3}', "unknown field 'd_modle'.*did you mean 'd_model'"),
        ('{"d_model": 4}', 'incomplete'),
    ],
)
def test_configuration_text(text: str, message: str) -> None:
    with pytest.raises(FoundryError, match=message):
        FoundryConfig.from_json(text)


@pytest.mark.parametrize(
    'changes',
    [
        {'halo': -1},
        {'halo': 10**9},
        {'window': 10**9},
        {'d_model': 33},
        {'nhead': True},
        {'dropout': 1.0},
    ],
)
def test_absurd_configurations(changes: dict[str, Any], make_model: MakeModel) -> None:
    with pytest.raises(FoundryError):
        make_model(**changes)


def test_more_than_the_memory_is_refused_before_it_is_read() -> None:
    shapes = {name: tuple(t.shape) for name, t in _meta(latent_dim=2**30, d_model=2**17).items()}
    with pytest.raises(FoundryError, match=r'needs .* GB, this machine has .* GB'):
        checkpoint.build(_claim(shapes))


def _meta(**changes: int) -> dict[str, Tensor]:
    config = FoundryConfig(**{'nhead': 2, 'num_layers': 1, 'projection_dim': 0, **changes})  # type: ignore[arg-type]
    with torch.device('meta'):
        return WeightAutoencoder(config).state_dict()


class Nowhere:
    """A storage from which nothing must be read."""

    nbytes = 2**60

    def read_into(self, start: int, buffer: memoryview) -> None:
        pytest.fail('it was read')


def _claim(shapes: dict[str, tuple[int, ...]]) -> checkpoint.Checkpoint:
    """A checkpoint whose tensors are only described."""
    tensors = {
        name: StoredTensor(Nowhere(), torch.float32, shape, contiguous_strides(shape))
        for name, shape in shapes.items()
    }
    config = FoundryConfig(d_model=2**17, latent_dim=2**30, nhead=2, num_layers=1, projection_dim=0)
    return checkpoint.Checkpoint(config, tensors, {})


_PEAK = """
import resource, sys
from torchgeo_geosane.foundry.foundry import Foundry
from torchgeo_geosane.foundry.stored import StoredTensor, contiguous_strides
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before = peak()
Foundry.load(sys.argv[1])
print(peak() - before)
"""


def test_the_optimizer_never_enters_memory(golden_copy: Path) -> None:
    file = golden_copy / 'checkpoint_000300' / 'state.pt'
    content = torch.load(file, weights_only=True)
    content['optimizer'] = {'state': {0: {'exp_avg': torch.zeros(64, 2**20)}}}
    torch.save(content, file)
    assert file.stat().st_size > 256 * 2**20
    command = [sys.executable, '-c', _PEAK, str(golden_copy)]
    added = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert added < 64


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(FoundryError, match='no foundry in the folder'):
        Foundry.load(str(tmp_path))
    with pytest.raises(FoundryError, match="unknown foundry 'no such thing'"):
        Foundry.load('no such thing')
