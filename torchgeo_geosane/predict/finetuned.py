"""A finetuned model: its task, built from the config of a fit, with the tensors of a checkpoint."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any

import jsonargparse
import yaml
from lightning.pytorch import LightningModule
from torch import Tensor
from torchgeo.datamodules import BaseDataModule

from torchgeo_geosane.datamodules import ImageryDataModule
from torchgeo_geosane.errors import DataError, GeoSANEError
from torchgeo_geosane.foundry.pickles import read_pickle
from torchgeo_geosane.foundry.stored import StoredTensor
from torchgeo_geosane.tasks.origin import spec_of, timm_names
from torchgeo_geosane.tasks.versions import BaseTask

_PLAIN = (str, int, float, bool, list, dict, NoneType)


@dataclass(frozen=True)
class Finetuned:
    """A model that somebody has finetuned, and what its data were.

    Attributes:
        task: The task, with the checkpoint's tensors.
        data: Its data module, as the config sets it.
        weights: What it started from: the spec's URL, or as it was named; empty for nothing.
        checkpoint: Name of the checkpoint.
        fingerprint: Its sha256.
    """

    task: LightningModule
    data: ImageryDataModule
    weights: str
    checkpoint: str
    fingerprint: str


def load(checkpoint: Path, config: Path | None = None) -> Finetuned:
    """Build a finetuned model again.

    Args:
        checkpoint: A checkpoint of Lightning's.
        config: The YAML file of the fit; by default the ``config.yaml`` that the fit wrote into the
            folder of its log, which the checkpoint lies below.

    Raises:
        DataError: If one is missing or damaged, they do not belong together, or the data are not of
            an ``ImageryDataModule``.
    """
    trained = _read(checkpoint)
    path = _beside(checkpoint) if config is None else config
    content = read_config(path)
    task, data = _build(path, content)
    if not isinstance(data, ImageryDataModule):
        raise DataError(
            f'{path} has data of {type(data).__name__}, but scenes are read by an ImageryDataModule: '
            'name a config that has the same model and, as data, '
            'torchgeo_geosane.datamodules.ImageryDataModule with images (the sensor), mean and std '
            'of the training'
        )
    _fill(task, trained, f'{checkpoint}, of {_class_of(trained)},', f'of {path}')
    _compare(trained.get(type(data).__qualname__, {}), checkpoint, path, data)
    named = content['model'].get('init_args', {}).get('weights')
    return Finetuned(task, data, _origin(task, named), checkpoint.name, _sha256(checkpoint))


def finetuned_of(
    task: LightningModule, data: ImageryDataModule, checkpoint: str | Path | None
) -> Finetuned:
    """A task that somebody has built and is about to run.

    Args:
        task: The task.
        data: Its data module.
        checkpoint: What its tensors are read from; None for none.
    """
    path = None if checkpoint is None else Path(checkpoint)
    known = path is not None and path.is_file()
    return Finetuned(
        task,
        data,
        _origin(task, getattr(task, 'weights', None)),
        path.name if path is not None else '',
        _sha256(path) if path is not None and known else '',
    )


def read_config(path: Path) -> dict[str, Any]:
    """Read the config of a fit.

    Raises:
        DataError: If it is missing, no YAML, or names no model or data.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f'cannot read {path} ({" ".join(str(error).split())})') from error
    # A config that holds several commands has each under its name.
    inner = content.get('fit', content) if isinstance(content, dict) else {}
    if not all(isinstance(inner.get(key), dict) for key in ('model', 'data')):
        raise DataError(f'{path} is not the config of a fit: it needs model and data')
    return inner


def _beside(checkpoint: Path) -> Path:
    """Lightning writes ``config.yaml`` into a folder, and checkpoints into one below it."""
    for folder in checkpoint.resolve().parents[:2]:
        if (folder / 'config.yaml').is_file():
            return folder / 'config.yaml'
    raise DataError(f'there is no config.yaml beside {checkpoint}: name the config of its fit')


def _build(path: Path, content: Mapping[str, Any]) -> tuple[LightningModule, Any]:
    model = dict(content['model'])
    if 'weights' in model.get('init_args', {}):
        # The checkpoint has all tensors: none are generated or downloaded.
        model['init_args'] = {**model['init_args'], 'weights': None}
    built = _instantiate({'model': model, 'data': content['data']}, path)
    return built.model, built.data


def _instantiate(wanted: Mapping[str, Any], path: Path) -> Any:
    """Build a task, and its data module where it is wanted, from class paths and arguments."""
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    for key, base in (('model', BaseTask), ('data', BaseDataModule)):
        if key in wanted:
            parser.add_subclass_arguments(base, key)
    try:
        return parser.instantiate_classes(parser.parse_object(dict(wanted)))
    except GeoSANEError:
        raise
    # What a task's or a data module's own code finds wrong can be anything.
    except Exception as error:
        raise DataError(
            f'{path} cannot be built: {" ".join(str(error).split())}. Has a class been moved or '
            'renamed since? Then correct its class_path'
        ) from error


def _compare(kept: dict[str, Any], checkpoint: Path, config: Path, data: ImageryDataModule) -> None:
    """Hold what a checkpoint keeps of its data against a config, and remember it."""
    trained, named = list(kept.get('classes', ())), list(data.kwargs.get('classes') or ())
    if trained and trained != named:
        raise DataError(
            f'{checkpoint} was trained on the classes {", ".join(trained)}, but {config} names '
            f'{", ".join(named) or "none"}: name them in that order'
        )
    data.load_state_dict(kept)


def load_task(checkpoint: Path) -> LightningModule:
    """Build the task of a checkpoint, without its data.

    Raises:
        DataError: If it is missing or damaged, or its class is not known any more.
    """
    content = _read(checkpoint)
    name = _class_of(content)
    arguments = {
        key: value
        for key, value in content.get('hyper_parameters', {}).items()
        if not key.startswith('_') and isinstance(value, _PLAIN)
    }
    model = {'class_path': name, 'init_args': {**arguments, 'weights': None}}
    task = _instantiate({'model': model}, checkpoint).model
    _fill(task, content, str(checkpoint), 'that its hyper-parameters name')
    return task


def _read(checkpoint: Path) -> dict[str, Any]:
    if not checkpoint.is_file():
        raise DataError(f'no such checkpoint: {checkpoint}')
    try:
        content = read_pickle(checkpoint)
    except GeoSANEError as error:
        raise DataError(f'{checkpoint} is not a readable checkpoint: {error}') from error
    if not isinstance(content, dict) or not isinstance(content.get('state_dict'), dict):
        raise DataError(f'{checkpoint} is no checkpoint of Lightning: it has no state_dict')
    return content


def _class_of(content: Mapping[str, Any]) -> str:
    return str(content.get('hyper_parameters', {}).get('_class_path', 'another task'))


def _fill(task: LightningModule, content: Mapping[str, Any], given_as: str, wanted_as: str) -> None:
    """Give a task's model the tensors of a checkpoint.

    Losses and metrics of a task have tensors, too, which a prediction does not need.
    """
    wanted = {f'model.{name}': tensor for name, tensor in task.model.state_dict().items()}  # type: ignore[union-attr]
    given = {
        name.replace('._orig_mod.', '.'): value for name, value in content['state_dict'].items()
    }
    wrong = [
        f'{name} is {_shape(given.get(name))} instead of {_shape(tensor)}'
        for name, tensor in wanted.items()
        if _shape(given.get(name)) != _shape(tensor)
    ]
    wrong += [f'{name} is too many' for name in given if _is_models(name) and name not in wanted]
    if wrong:
        raise DataError(
            f'{given_as} does not fit the {type(task).__name__} {wanted_as}: {wrong[0]}'
            + (f', and {len(wrong) - 1} more' if wrong[1:] else '')
        )
    tensors = {name.removeprefix('model.'): given[name].read(name) for name in wanted}
    task.model.load_state_dict(tensors)  # type: ignore[union-attr]


def _is_models(name: str) -> bool:
    return name.startswith('model.')


def _shape(tensor: Tensor | StoredTensor | None) -> str:
    return 'missing' if tensor is None else str(tuple(tensor.shape))


def _origin(task: LightningModule, named: Any) -> str:
    """What a task's weights were, as far as its config tells."""
    if not named:
        return ''
    task.weights = named
    try:
        spec = spec_of(task)
    except GeoSANEError:  # A file that is no longer there.
        spec = None
    if spec is None and named is True:
        return next(iter(timm_names(task).values()), '')
    return str(named) if spec is None else spec.url


def _sha256(path: Path) -> str:
    with path.open('rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()
