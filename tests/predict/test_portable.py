"""ONNX files: what onnxruntime gives of files' own numbers is what the model gives."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from fits import CLASSES, Fit, scene_values, write_fit, write_scene

from torchgeo_geosane import cli
from torchgeo_geosane.errors import ArchitectureError, DataError
from torchgeo_geosane.predict import portable
from torchgeo_geosane.predict.finding import find_scenes
from torchgeo_geosane.predict.finetuned import load
from torchgeo_geosane.predict.mapping import Inference, Mapper


def mapper(fit: Fit, scene: Path) -> Mapper:
    finetuned = load(fit.checkpoint)
    found = next(iter(find_scenes(finetuned.data, str(scene)).scenes.values()))
    return Mapper(finetuned, found.data, Inference(device='cpu'))


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    values = scene_values(60, 60)
    values[:, :20, :30] = 0
    return write_scene(tmp_path / 'scene.tif', values)


@pytest.mark.parametrize('regression', [False, True])
def test_the_file_gives_what_the_model_gives(
    tmp_path: Path, scene: Path, regression: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    fit = write_fit(tmp_path / 'fit', scene_values(64, 64), regression=regression)
    path = tmp_path / 'model.onnx'
    arguments = ['--ckpt_path', fit.checkpoint, '--out', path, '--scene', scene]
    assert cli.main(['export', *map(str, arguments)]) == 0
    assert 'onnxruntime differs from torch by' in capsys.readouterr().out
    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    windows = torch.from_numpy(scene_values(64, 32).reshape(4, 2, 32, 32).astype(np.float32))
    windows = windows.transpose(0, 1).contiguous()
    windows[0, :, :5] = torch.nan
    (found,) = session.run(None, {'image': windows.numpy()})
    expected, _ = mapper(fit, scene).model(windows)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)
    said = {each.key: each.value for each in onnx.load(path).metadata_props}
    assert said['GEOSANE_BANDS'] == 'B2, B3, B4, B8'
    assert said['classes'] == ('value' if regression else ', '.join(CLASSES))
    assert cli.main(['export', *map(str, arguments)]) == 2
    assert 'with --force' in capsys.readouterr().err


def test_another_result_is_not_written(
    fit: Fit, tmp_path: Path, scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it would be if a step were lost on the way."""
    monkeypatch.setattr(portable.Portable, 'forward', lambda self, image: self.network(image))
    with pytest.raises(DataError, match='differs from torch by'):
        portable.export_onnx(mapper(fit, scene), tmp_path / 'model.onnx')
    assert not list(tmp_path.glob('*.onnx*'))


def test_what_cannot_be_traced_is_named(
    fit: Fit, tmp_path: Path, scene: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forward(self: portable.Portable, image: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError('no such operation')

    monkeypatch.setattr(portable.Portable, 'forward', forward)
    with pytest.raises(ArchitectureError, match='cannot be written as ONNX'):
        portable.export_onnx(mapper(fit, scene), tmp_path / 'model.onnx')
    assert not list(tmp_path.glob('*.onnx*'))
