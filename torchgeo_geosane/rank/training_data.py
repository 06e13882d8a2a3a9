"""The training data of a fit, drawn as the training would see them; nothing is trained."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import timm
from lightning.fabric.utilities.exceptions import MisconfigurationException as LightningsError
from lightning.pytorch import Callback, LightningModule, Trainer
from torchgeo.datamodules.utils import MisconfigurationException as TorchGeosError

from torchgeo_geosane.callbacks.backbone import find_backbone
from torchgeo_geosane.callbacks.band_lists import delivered_by
from torchgeo_geosane.callbacks.batches import training_batches
from torchgeo_geosane.callbacks.examples import Examples
from torchgeo_geosane.callbacks.tasks import stacks_dates
from torchgeo_geosane.compare.build import build
from torchgeo_geosane.compare.record import RunKey
from torchgeo_geosane.datamodules import ImageryDataModule
from torchgeo_geosane.errors import DataError, SensorError
from torchgeo_geosane.foundry.digest import digest
from torchgeo_geosane.providers.catalog import find_spec, is_name
from torchgeo_geosane.rank.quiet import quiet
from torchgeo_geosane.sensors import Sensor, find_sensor, get_sensor
from torchgeo_geosane.tasks.origin import timm_names

_WAY_OUT = (
    'weights are judged by labels of the training data, so give a config whose task and data `fit` can '
    'train on: classification, regression or segmentation, with labels'
)


@dataclass(frozen=True)
class TrainingData:
    """Images of the training data with their labels, and what the fit says of its backbone.

    Attributes:
        examples: Images and labels.
        sensor: Whose bands the backbone sees, in order.
        predicts_maps: Whether the task predicts a map; else something of a whole image.
        argument: The task's argument that names its backbone: ``backbone`` or ``model``.
        architecture: The fit's own backbone as timm calls it; None where that is not known.
        parameters: How many that has.
    """

    examples: Examples
    sensor: Sensor
    predicts_maps: bool
    argument: str
    architecture: str | None
    parameters: int

    @property
    def count(self) -> int:
        """The number of images."""
        return sum(map(len, self.examples.images))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images."""
        height, width = self.examples.images[0].shape[-2:]
        return height, width

    @cached_property
    def fingerprint(self) -> str:
        """Hash of what features depend on: the images, and the points in them."""
        points = self.examples.points
        places = points.places if points else []
        return digest({str(at): each for at, each in enumerate((*self.examples.images, *places))})


def draw(fit: Mapping[str, Any], batches: int, seed: int, sensor: str | None) -> TrainingData:
    """Draw training batches of a fit, with the augmentations of its training.

    Args:
        fit: Task and data as the command ``fit`` takes them; of its trainer accelerator and precision
            are used.
        batches: How many at most, never more than an epoch has.
        seed: Which ones.
        sensor: The data's sensor, where they do not say.

    Raises:
        DataError: If the fit has no training data, no labels, or bands of no one sensor.
        GeoSANEError: If the fit cannot be built, or has no backbone that can be found.
    """
    for part in ('model', 'data'):
        if not fit.get(part):
            raise DataError(f'the config has no {part!r}: {_WAY_OUT}')
    asked = fit.get('trainer') or {}
    trainer = {key: asked[key] for key in ('accelerator', 'precision') if key in asked}
    trainer |= {'max_epochs': 1, 'devices': 1, 'limit_val_batches': 0, 'num_sanity_val_steps': 0}
    wanted = {'model': fit['model'], 'data': fit['data'], 'trainer': trainer}
    found = _Draw(batches, sensor)
    with tempfile.TemporaryDirectory(prefix='geosane-rank-') as folder:
        try:
            with quiet():
                built = build(wanted, RunKey('rank', seed), Path(folder), [found])
                built.trainer.fit(built.model, datamodule=built.datamodule)
        except (LightningsError, TorchGeosError) as error:
            raise DataError(f'the config has no training data ({error}): {_WAY_OUT}') from error
    if found.data is None:
        raise DataError(f'the training data yield no batch: {_WAY_OUT}')
    return found.data


class _Draw(Callback):
    """Takes batches as a training begins, and ends it before its first step."""

    def __init__(self, batches: int, sensor: str | None) -> None:
        self.data: TrainingData | None = None
        self._batches, self._sensor = batches, sensor

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw, and ask for no step."""
        trainer.should_stop = True
        module, predicts_maps = find_backbone(pl_module)
        try:
            with training_batches(trainer, self._batches) as batches:
                key = 'mask' if predicts_maps else 'label'
                examples = Examples.draw(pl_module, key, batches)
        except DataError as error:
            raise DataError(f'{error}: {_WAY_OUT}') from error
        self.data = TrainingData(
            examples,
            _sensor_of(trainer, pl_module, self._sensor, examples),
            predicts_maps,
            'backbone' if predicts_maps else 'model',
            _architecture_of(pl_module, predicts_maps),
            sum(parameter.numel() for parameter in module.parameters()),
        )


def _sensor_of(
    trainer: Trainer, task: LightningModule, given: str | None, examples: Examples
) -> Sensor:
    """The sensor whose bands a backbone sees: of both dates, where the task joins them."""
    sensor = get_sensor(given) if given else _stated_sensor(trainer)
    sensor = sensor.stacked(2) if stacks_dates(task) and '*' not in sensor.name else sensor
    channels = examples.images[0].shape[-3]
    if channels != sensor.in_chans:
        raise DataError(
            f'the images have {channels} channels, but {sensor.name!r} has {sensor.in_chans} bands '
            f'({", ".join(sensor.band_names)}): name what they show by --sensor, as in '
            'sentinel2_all[B4,B3,B2]'
        )
    return sensor


def _stated_sensor(trainer: Trainer) -> Sensor:
    datamodule = trainer.datamodule  # type: ignore[attr-defined]
    loader: Any = trainer.train_dataloader
    parts = list(delivered_by(getattr(loader, 'dataset', loader)))
    bands = parts[0].bands or getattr(datamodule, 'kwargs', {}).get('bands')
    if isinstance(datamodule, ImageryDataModule):
        sensors = list(datamodule.kwargs['images'])
        if len(sensors) > 1:
            raise DataError(
                f'the data join {" and ".join(sensors)}, and no prompt sees both: rank one sensor '
                'after the other, and put the best side by side (geosane_ensemble…)'
            )
        sensor = get_sensor(sensors[0])
        return sensor.select(bands) if bands else sensor
    if not bands:
        raise DataError(
            f'{parts[0].name} does not say which bands it delivers: name them by --sensor, as in '
            'sentinel2_all[B4,B3,B2]'
        )
    try:
        return find_sensor(list(bands))
    except SensorError as error:
        raise DataError(f'{error}. Name it by --sensor, as in sentinel2_all[B4,B3,B2]') from error


def _architecture_of(task: LightningModule, predicts_maps: bool) -> str | None:
    """The fit's backbone as timm calls it: smp writes ``timm-efficientnet-b4``."""
    name = timm_names(task).get('backbone' if predicts_maps else 'model')
    if name is not None:
        if is_name(name):
            return (
                None
                if name.removeprefix('tu-').startswith('geosane_ensemble')
                else find_spec(name).architecture
            )
        plain = name.removeprefix('tu-').partition('.')[0].replace('-', '_')
        for spelled in (plain, plain.replace('timm_', 'tf_', 1), f'tf_{plain}'):
            if timm.is_model(spelled):
                return spelled
    return None
