import importlib.util
import math
import sys
from pathlib import Path

import onnx
import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from live import Live
from onnx import numpy_helper

from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.errors import PromptError
from torchgeo_geosane.prompts import packaged, resolve_prompt
from torchgeo_geosane.sensors import get_sensor

ARCHITECTURE = 'tf_efficientnet_b4'
SENSOR = get_sensor('sentinel2_all')
NAMES = ['ukis:4b_l1c', 'ukis:4b_l2a', 'ukis:6b_l1c', 'ukis:6b_l2a']


@pytest.mark.parametrize('name', NAMES)
def test_lacks_only_what_the_unet_has_not(name: str) -> None:
    prompt = resolve_prompt(name, ARCHITECTURE, SENSOR, seed=0)
    source = prompt.open()
    target = get_architecture(ARCHITECTURE, len(prompt.bands)).shapes
    lacking = {n for n in set(target) - set(source.names()) if 'num_batches_tracked' not in n}
    assert lacking == {
        'conv_head.weight',
        'bn2.weight',
        'bn2.bias',
        'bn2.running_mean',
        'bn2.running_var',
    }
    assert all(source.shape(n) == target[n].shape for n in source.names())
    assert all(source.dtype(n) == torch.float16 for n in source.names())
    assert prompt.licence == 'Apache-2.0'


def test_values_land_where_they_belong() -> None:
    """timm computes with the prompt what smp computes with the ONNX file's own names."""
    spec = importlib.util.find_spec('ukis_csmask')
    assert spec is not None
    assert spec.origin is not None
    model = onnx.load(Path(spec.origin).with_name('model_6b_l1c.onnx'))
    unet = smp.Unet('efficientnet-b4', encoder_weights=None, in_channels=6, classes=3)
    stored = {
        tensor.name.removeprefix('model.'): torch.from_numpy(numpy_helper.to_array(tensor).copy())
        for tensor in model.graph.initializer
    }
    encoder = {name: t.float() for name, t in stored.items() if name.startswith('encoder.')}
    lacking, unexpected = unet.load_state_dict(encoder, strict=False)
    assert not unexpected
    assert not any('_blocks' in n or '_stem' in n for n in lacking if 'num_batches' not in n)

    source = resolve_prompt('ukis:6b_l1c', ARCHITECTURE, SENSOR, seed=0).open()
    ours = timm.create_model(ARCHITECTURE, pretrained=False, num_classes=0, in_chans=6)
    prompt = {name: source.read(name) for name in source.names()}
    ours.load_state_dict({**get_architecture(ARCHITECTURE, 6).initialise(0), **prompt})

    # smp pads as for 380 pixels whatever the size. 60 halves as 380 does (odd at the same place),
    # so that timm, which pads as the size needs, pads alike.
    image = torch.randn(1, 6, 60, 60, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        theirs = unet.encoder.eval()(image)[-1]
        features = ours.eval().forward_intermediates(image, intermediates_only=True)[-1]
    torch.testing.assert_close(features, theirs)


def test_a_file_that_is_not_the_pinned_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / 'ukis_csmask-1.0.0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text('Metadata-Version: 2.1\nName: ukis-csmask\nVersion: 1.0.0\n')
    package = tmp_path / 'ukis_csmask'
    package.mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    prompt = resolve_prompt('ukis:6b_l1c', ARCHITECTURE, SENSOR, seed=0)
    with pytest.raises(PromptError, match=r'No such file.*reinstall'):
        prompt.open()
    (package / 'model_6b_l1c.onnx').write_bytes(b'another model')
    with pytest.raises(PromptError, match=r'is not the file of ukis-csmask 1\.0\.0'):
        prompt.open()


def test_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, 'ukis_csmask', raising=False)
    monkeypatch.setattr(sys, 'path', [])
    prompt = resolve_prompt('ukis:6b_l1c', ARCHITECTURE, SENSOR, seed=0)
    with pytest.raises(PromptError, match=r'pip install "torchgeo-geosane\[offline\]"'):
        prompt.open()


def test_wrong_names_and_architectures() -> None:
    with pytest.raises(PromptError, match="'ukis:6b_l1': did you mean 'ukis:6b_l1c'"):
        resolve_prompt('ukis:6b_l1', ARCHITECTURE, SENSOR, seed=0)
    with pytest.raises(PromptError, match="an encoder of 'tf_efficientnet_b4', not of 'resnet18'"):
        resolve_prompt('ukis:6b_l1c', 'resnet18', SENSOR, seed=0)
    assert packaged.names('resnet18') == []
    assert packaged.names(ARCHITECTURE) == [*NAMES, 'kelp:kelp_presence_rgbn']


def test_packaged_prompts_are_mapped(cache_directory: Path) -> None:
    """Not held whole: rows are read from a copy in the cache, whose values are the file's."""
    source = resolve_prompt('ukis:6b_l1c', ARCHITECTURE, SENSOR, seed=0).open()
    (copy,) = (cache_directory / 'collection').glob('*.safetensors')
    spec = importlib.util.find_spec('ukis_csmask')
    assert spec is not None
    assert spec.origin is not None
    model = onnx.load(Path(spec.origin).with_name('model_6b_l1c.onnx'))
    stem = numpy_helper.to_array(model.graph.initializer[0])
    assert source.rows('conv_stem.weight', 2, 5).equal(torch.from_numpy(stem[2:5].reshape(3, -1)))
    before = copy.stat().st_mtime_ns
    resolve_prompt('ukis:6b_l1c', ARCHITECTURE, SENSOR, seed=0).open()
    assert copy.stat().st_mtime_ns == before


def test_several_packaged_prompts_take_no_memory() -> None:
    """Beyond the rows that were asked for, whatever the files hold: four times 39 MB."""
    prompts = [resolve_prompt(name, ARCHITECTURE, SENSOR, seed=0) for name in NAMES]
    for prompt in prompts:
        prompt.open()  # Once each is read whole, to make the copy.
    with Live() as live:
        sources = [prompt.open() for prompt in prompts]
        rows = [source.rows(name, 0, 1) for source in sources for name in source.names()]
    assert len(rows) > 2000
    # Copies are verified when they are opened, tensor by tensor.
    largest = max(math.prod(sources[0].shape(name)) for name in sources[0].names())
    assert live.peak < sum(row.nbytes for row in rows) + 4 * largest


def test_no_room_for_the_copy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Then it is held in memory."""
    (tmp_path / 'file').touch()
    monkeypatch.setenv('TORCHGEO_GEOSANE_CACHE', str(tmp_path / 'file'))
    source = resolve_prompt('ukis:6b_l1c', ARCHITECTURE, SENSOR, seed=0).open()
    assert source.shape('conv_stem.weight') == (48, 6, 3, 3)


def test_how_to_get_what_is_not_here() -> None:
    prompt = resolve_prompt('kelp:kelp_presence', 'mobilenetv3_large_100', get_sensor('rgb'), 0)
    with pytest.raises(PromptError, match=r'pip download .* kelp-o-matic==0\.8\.0, and set TORCH'):
        prompt.open()
