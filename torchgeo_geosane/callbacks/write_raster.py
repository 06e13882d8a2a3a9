"""Maps from Lightning's ``predict``."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info

from torchgeo_geosane.datamodules import ImageryDataModule
from torchgeo_geosane.errors import DataError
from torchgeo_geosane.predict.blending import Blender, Strip
from torchgeo_geosane.predict.finding import find_scenes
from torchgeo_geosane.predict.finetuned import finetuned_of
from torchgeo_geosane.predict.layers import Stored
from torchgeo_geosane.predict.mapping import Inference, Mapper
from torchgeo_geosane.predict.model import compares_dates, dense
from torchgeo_geosane.predict.raster import MapWriter, writing
from torchgeo_geosane.predict.served import SceneWindows


class WriteRaster(Callback):
    """Writes a map of each image of an ``ImageryDataModule`` when the trainer predicts.

    The data module serves windows that overlap, and what the task answers is blended, as by the
    command ``predict --scene``, which does the same without a trainer, faster.
    """

    def __init__(
        self,
        folder: str | Path,
        window: int | None = None,
        overlap: int | None = None,
        probabilities: bool | Stored = False,
        force: bool = False,
    ) -> None:
        """Keep the settings.

        Args:
            folder: Where maps are written, each by the name of its image.
            window: Height and width of a window in pixels; None is the data module's patch size.
            overlap: Pixels that windows share; None is about a quarter of a window.
            probabilities: Whether to write probabilities, one band a class, and as what:
                ``uint8``, scaled, which true means, ``float16`` or ``float32``.
            force: Whether to replace maps that are there.
        """
        self.folder, self.force = Path(folder), force
        self.inference = Inference(window, overlap, probabilities=probabilities)
        self._open = ExitStack()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Let the data module serve windows.

        Raises:
            DataError: If there are several devices, the data are of another kind, the task compares
                two dates, or a map exists.
        """
        if stage != 'predict':
            return
        module = getattr(trainer, 'datamodule', None)
        if trainer.world_size > 1 or not isinstance(module, ImageryDataModule):
            raise DataError(
                'WriteRaster wants one device, and data of an ImageryDataModule, not '
                f'{trainer.world_size} and {type(module).__name__}'
            )
        if compares_dates(pl_module):
            raise DataError(
                'the model compares two dates: predict --scene … --after … makes its maps'
            )
        found = find_scenes(module, module.kwargs['images'])
        scenes = list(found.scenes.values())
        self._paths = [self.folder / f'{name}.tif' for name in found.scenes]
        there = [path for path in self._paths if path.exists()]
        if there and not self.force:
            raise DataError(f'{there[0]} exists: choose another folder, or set force: true')
        finetuned = finetuned_of(pl_module, module, trainer.ckpt_path)
        self._mapper = Mapper(finetuned, scenes[0].data, self.inference)
        self._windows = SceneWindows(scenes, [self._mapper.tiling(scene) for scene in scenes])
        module.serve(self._windows)
        self._current = -1

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Blend the windows of a batch, and write the rows that are done."""
        values = dense(outputs, batch['image'])
        for at, (scene, row, column) in enumerate(batch['window'].tolist()):
            if scene != self._current:
                self._finish()
                self._begin(scene, values.shape[1])
            known = batch['known'][at]
            if known.any():
                for strip in self._blender.add(row, column, values[at], known):
                    self._write(strip)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Finish the last map."""
        self._finish()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Leave nothing of a map that is not whole."""
        self._open.__exit__(type(exception), exception, exception.__traceback__)

    def _begin(self, scene: int, channels: int) -> None:
        mapper, self._current = self._mapper, scene
        self._blender = Blender(self._windows.tilings[scene], channels, mapper.model.device)
        shown = self._windows.scenes[scene]
        writer = writing(self._paths[scene], shown, mapper.layers, mapper.tags(shown))
        self._writer: MapWriter = self._open.enter_context(writer)

    def _finish(self) -> None:
        if self._current < 0:
            return
        for strip in self._blender.finish():
            self._write(strip)
        self._open.close()
        rank_zero_info(f'Map: {self._paths[self._current]}')
        self._current = -1

    def _write(self, strip: Strip) -> None:
        self._writer.write(strip.first, self._mapper.layers.encode(strip))
