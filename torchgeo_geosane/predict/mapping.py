"""One scene to one map: the model on it, the file, the areas."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from tqdm.auto import tqdm

from torchgeo_geosane.datasets import Imagery
from torchgeo_geosane.errors import DataError, GeoSANEError
from torchgeo_geosane.predict.ahead import ahead
from torchgeo_geosane.predict.finetuned import Finetuned
from torchgeo_geosane.predict.inference import strips
from torchgeo_geosane.predict.layers import Layers, Legend, Stored
from torchgeo_geosane.predict.model import Model, Precision
from torchgeo_geosane.predict.raster import KEY, MapWriter, writing
from torchgeo_geosane.predict.scenes import Scene
from torchgeo_geosane.predict.tiling import Tiling
from torchgeo_geosane.predict.units import check_units

_PACKAGES = ('torchgeo-geosane', 'torchgeo', 'torch', 'lightning')


@dataclass(frozen=True)
class Inference:
    """How a model is run over a scene.

    Attributes:
        window: Height and width of a window in pixels; None is the patch size of the training.
        overlap: Pixels that windows share; None is about a quarter of a window.
        batch_size: Windows at once; None is the data module's.
        flips: Whether windows are also seen flipped, three times, and the answers averaged.
        precision: ``'32'``, or the type that matrix products and convolutions run in.
        device: As torch spells it; None is a GPU where there is one.
        probabilities: Whether to write probabilities, one band a class, and as what: ``'uint8'``,
            scaled, ``'float16'`` or ``'float32'``; True is ``'float32'`` of change, else ``'uint8'``.
    """

    window: int | None = None
    overlap: int | None = None
    batch_size: int | None = None
    flips: bool = False
    precision: Precision = '32'
    device: str | None = None
    probabilities: bool | Stored = False


@dataclass(frozen=True)
class Map:
    """A map that was written.

    Attributes:
        path: The file.
        areas: Square metres by class; empty where pixels have none.
        colours: Colour by class.
    """

    path: Path
    areas: Mapping[str, float]
    colours: Mapping[str, str]


class Mapper:
    """A finetuned model, ready for scenes of one kind."""

    def __init__(self, finetuned: Finetuned, data: Imagery, inference: Inference) -> None:
        """Put the model on its device, and try it.

        Args:
            finetuned: The model.
            data: The scenes, all read alike.
            inference: How it is run.

        Raises:
            DataError: If model, data and config contradict each other.
        """
        self.finetuned, self.inference, self.data = finetuned, inference, data
        module = finetuned.data
        self.scales = module.scales(data)
        device = inference.device or ('cuda' if torch.cuda.is_available() else 'cpu')
        self.model = Model.of(
            finetuned.task,
            list(data.units.values()),
            self.scales,
            torch.device(device),
            inference.precision,
            inference.flips,
        )
        self.size = inference.window or module.size
        self.batch = inference.batch_size or module.batch_size
        self.layers = self._layers()

    def _layers(self) -> Layers:
        wanted, given = self.finetuned.task.hparams.get('in_channels'), len(self.data.bands)
        if wanted not in {None, given}:
            raise DataError(
                f'the model sees {wanted} channels, but the scene has {given} bands '
                f'({", ".join(self.data.bands)}): give the config that it was trained with'
            )
        try:
            answer, _ = self.model(torch.zeros(1, given * self.model.dates, self.size, self.size))
        except GeoSANEError:
            raise
        except Exception as error:  # It is the network's own code that fails.
            raise DataError(
                f'the model cannot take windows of {self.size} pixels '
                f'({" ".join(str(error).split())}): give the size it was trained with'
            ) from error
        kind, channels = self.model.kind, answer.shape[1]
        classes = self.finetuned.data.kwargs.get('classes') or ()
        legend = None if kind == 'values' else Legend.of(classes, kind, channels)
        return Layers.of(kind, channels, legend, self._stored())

    def _stored(self) -> Stored | None:
        """As what probabilities are written, if they are."""
        wanted = self.inference.probabilities
        if isinstance(wanted, bool):
            usual: Stored = 'float32' if self.model.dates > 1 else 'uint8'
            return usual if wanted else None
        return wanted

    def tiling(self, scene: Scene) -> Tiling:
        """Where windows lie.

        Raises:
            DataError: If they share more than half of their size.
        """
        height, width = scene.pixels.height, scene.pixels.width
        return Tiling.over(height, width, self.size, self.inference.overlap)

    def map(self, scene: Scene, path: Path) -> Map:
        """Predict a scene and write its map.

        Raises:
            DataError: If a file of the scene is damaged, or it holds other units or no data.
            CacheError: If the disk refuses; nothing is left behind.
        """
        tiling = self.tiling(scene)
        means, stds = zip(*((scale.mean, scale.std) for scale in self.scales), strict=True)
        for date in scene.dates:
            check_units(date, tiling, means, stds)
        with writing(path, scene, self.layers, self.tags(scene)) as writer:
            self._write(scene, tiling, writer)
        legend = self.layers.legend
        if legend is None:
            return Map(path, {}, {})
        return Map(
            path,
            dict(zip(legend.names, writer.areas.tolist(), strict=True)),
            dict(zip(legend.names, legend.colours, strict=True)),
        )

    def _write(self, scene: Scene, tiling: Tiling, writer: MapWriter) -> None:
        """Predict here, while one thread reads and another writes."""

        def write(strip: tuple[int, NDArray[Any], bool]) -> tuple[int, bool]:
            first, rows, known = strip
            writer.write(first, rows)
            return rows.shape[1], known

        encoded = (
            (strip.first, self.layers.encode(strip), bool(strip.known.any()))
            for strip in strips(self.model, scene, tiling, self.batch)
        )
        some = False
        with tqdm(total=scene.pixels.height, desc=scene.name, unit='rows', delay=2) as progress:
            for rows, known in ahead(write, encoded):
                progress.update(rows)
                some |= known
        if not some:
            raise DataError(f'{scene.name} holds no data: no pixel has a value in all bands')

    def provenance(self) -> dict[str, str]:
        """Which model this is, as tags."""
        finetuned = self.finetuned
        return {
            'GEOSANE_TASK': type(finetuned.task).__name__,
            'GEOSANE_WEIGHTS': finetuned.weights,
            'GEOSANE_CHECKPOINT': f'{finetuned.checkpoint} sha256:{finetuned.fingerprint}',
            'GEOSANE_BANDS': ', '.join(self.data.bands),
            'GEOSANE_VERSIONS': ', '.join(f'{name} {version(name)}' for name in _PACKAGES),
        }

    def tags(self, scene: Scene) -> dict[str, str]:
        """What a map's file says of where it comes from."""
        provenance = self.provenance()
        tags = {
            **provenance,
            'GEOSANE_SCENE': ', '.join(date.name for date in scene.dates),
            'GEOSANE_WINDOWS': f'{self.size} pixels, {self.tiling(scene).overlap} shared'
            + (', flipped' if self.inference.flips else ''),
            'GEOSANE_PRECISION': f'{self.inference.precision} on {self.model.device.type}',
            'TIFFTAG_SOFTWARE': provenance['GEOSANE_VERSIONS'].partition(',')[0],
        }
        date = scene.dates[-1].date
        if date is not None:
            tags['TIFFTAG_DATETIME'] = date.strftime('%Y:%m:%d %H:%M:%S')
        layers = self.layers
        key = json.dumps([tags, scene.stamps(), layers.dtype, layers.half, layers.bands])
        return tags | {KEY: hashlib.sha256(key.encode()).hexdigest()}
