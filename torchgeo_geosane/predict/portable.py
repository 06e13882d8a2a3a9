"""A finetuned model as ONNX: from what files hold to probabilities or values, for any runtime."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from torchgeo_geosane.atomic import replacing
from torchgeo_geosane.datamodules.pipelines import BandScale
from torchgeo_geosane.datasets.chips import LINEAR
from torchgeo_geosane.errors import ArchitectureError, DataError
from torchgeo_geosane.predict.mapping import Mapper
from torchgeo_geosane.predict.model import Kind
from torchgeo_geosane.predict.scenes import Scene, read_windows
from torchgeo_geosane.transforms.decibel import to_decibel

if TYPE_CHECKING:
    import onnx

_OPSET = 17
_WINDOWS = 16


class Portable(nn.Module):
    """What a :class:`~.model.Model` does, in operations that ONNX has."""

    network: nn.Module
    fill: Tensor
    linear: Tensor
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        task: LightningModule,
        kind: Kind,
        fill: Sequence[float],
        units: Sequence[str],
        scales: Sequence[BandScale],
    ) -> None:
        """Keep the network, and how bands are prepared.

        Args:
            task: Whose network it is.
            kind: What it says of a pixel.
            fill: What stands for no data, by band.
            units: Unit of each band.
            scales: How each band is normalised.
        """
        super().__init__()
        self.network, self._kind = task.model, kind  # type: ignore[assignment]
        numbers = {
            'fill': list(fill),
            'linear': [unit == LINEAR for unit in units],
            'mean': [scale.mean for scale in scales],
            'std': [scale.std for scale in scales],
        }
        for name, values in numbers.items():
            self.register_buffer(name, torch.tensor(values)[:, None, None])

    def forward(self, image: Tensor) -> Tensor:
        """From [batch, bands, height, width], NaN for no data, to [batch, channels, …]."""
        filled = torch.where(torch.isnan(image), self.fill, image)
        if self.linear.any():
            filled = torch.where(self.linear, to_decibel(filled), filled)
        answer: Tensor = self.network((filled - self.mean) / self.std)
        if self._kind == 'classes':
            return answer.softmax(1)
        return answer if self._kind == 'values' else answer.sigmoid()


def export_onnx(
    mapper: Mapper, path: Path, scene: Scene | None = None, tolerance: float = 1e-3
) -> tuple[float, float]:
    """Write a model as ONNX, once onnxruntime has given what torch gives.

    The file takes float32 windows, [batch, bands, size, size], as files hold them, NaN where there
    is no data, and gives probabilities or values. Its metadata say bands, units, classes and where
    the weights come from.

    Args:
        mapper: The model.
        path: The file.
        scene: Whose windows are compared; None takes noise of the bands' mean and deviation.
        tolerance: How far probabilities may differ; values in shares of their largest.

    Returns:
        The largest difference, and the share of pixels whose class is another.

    Raises:
        DataError: If onnxruntime or onnx is not installed, the model compares two dates, or the
            results differ by more.
        ArchitectureError: If the network cannot be written as ONNX.
        CacheError: If the disk refuses.
    """
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise DataError(
            f'ONNX files need onnx and onnxruntime ({error}): pip install "torchgeo-geosane[onnx]"'
        ) from error
    if mapper.model.dates > 1:
        raise DataError(
            'the model compares two dates: only models of one image are written as ONNX'
        )
    units, fill = list(mapper.data.units.values()), mapper.model.fill
    network = Portable(mapper.finetuned.task, mapper.model.kind, fill, units, mapper.scales)
    windows = _windows(mapper, scene)
    with replacing(path) as provisional:
        _write(network.to('cpu').eval(), windows[:1], provisional)
        _describe(onnx.load(provisional), mapper, provisional)
        session = onnxruntime.InferenceSession(provisional, providers=['CPUExecutionProvider'])
        found = np.concatenate([session.run(None, {'image': w[None].numpy()})[0] for w in windows])
        wanted = torch.cat([mapper.model(w[None])[0] for w in windows]).cpu().numpy()
        scale = np.abs(wanted).max() if mapper.model.kind == 'values' else 1.0
        worst = float(np.abs(found - wanted).max() / scale)
        other = float((found.argmax(1) != wanted.argmax(1)).mean())
        if not worst <= tolerance:
            raise DataError(
                f'onnxruntime differs from torch by {worst:.2g}, which is more than {tolerance:g}: '
                'nothing is written'
            )
    return worst, other


def _windows(mapper: Mapper, scene: Scene | None) -> Tensor:
    """What is compared, float32, [windows, bands, size, size]."""
    if scene is not None:
        tiling = mapper.tiling(scene)
        runs = (read_windows(scene, tiling, row, columns) for row, columns in tiling.runs(1))
        found: list[Tensor] = []
        for run in runs:
            found += [torch.from_numpy(image.astype(np.float32)) for image in run.images]
            if len(found) >= _WINDOWS:
                break
        return torch.stack(found)
    mean, std = (
        torch.tensor([getattr(scale, name) for scale in mapper.scales])[:, None, None]
        for name in ('mean', 'std')
    )
    noise = torch.randn(2, len(mean), mapper.size, mapper.size, generator=torch.Generator())
    windows = mean + std * noise
    windows[0, :, : mapper.size // 4] = torch.nan
    return windows


def _write(network: Portable, example: Tensor, path: Path) -> None:
    batch = {0: 'batch'}
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter('ignore')
            # The exporter through dynamo needs one more package.
            torch.onnx.export(
                network,
                (example,),
                str(path),
                dynamo=False,
                opset_version=_OPSET,
                input_names=['image'],
                output_names=['map'],
                dynamic_axes={'image': batch, 'map': batch},
            )
    except Exception as error:  # Tracing runs the network's own code, which may raise anything.
        raise ArchitectureError(
            f'the network cannot be written as ONNX: {" ".join(str(error).split())[:300]}'
        ) from error


def _describe(model: 'onnx.ModelProto', mapper: Mapper, path: Path) -> None:
    import onnx

    legend = mapper.layers.legend
    said: dict[str, Any] = {
        **mapper.provenance(),
        'units': ', '.join(mapper.data.units.values()),
        'classes': ', '.join(mapper.layers.bands if legend is None else legend.names),
    }
    onnx.helper.set_model_props(model, said)
    onnx.save(model, path)
