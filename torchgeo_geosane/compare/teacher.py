"""The teacher of a distillation: the larger model, trained on the same task, data and budget."""

import copy
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn

from torchgeo_geosane.callbacks.backbone import Backbone
from torchgeo_geosane.callbacks.tasks import original
from torchgeo_geosane.compare.build import build
from torchgeo_geosane.compare.config import ComparisonConfig
from torchgeo_geosane.compare.record import RunKey
from torchgeo_geosane.errors import ComparisonError
from torchgeo_geosane.generate import take_prompt


def train_teacher(comparison: ComparisonConfig, key: RunKey) -> nn.Module:
    """Finetune the larger model from its prompt, as a run of the same key would.

    Args:
        comparison: Its ``larger`` and ``distillation.teacher`` say what the teacher is.
        key: Seed and share of the training data.

    Returns:
        The model inside the task, with the weights of the best validation.

    Raises:
        GeoSANEError: If the prompt cannot be had, or does not fit the teacher.
        ComparisonError: If no larger model is named, or the fit is malformed.
    """
    material = comparison.material
    if material.larger is None:
        raise ComparisonError('a teacher needs a larger model of the family: larger: …')
    spec = replace(material.larger, sensor=material.spec.sensor)
    fit = copy.deepcopy(comparison.fit)
    fit['model'].setdefault('init_args', {}).update(material.distillation.teacher)
    with tempfile.TemporaryDirectory(prefix='geosane-teacher-') as folder:
        best = ModelCheckpoint(
            folder,
            monitor=f'val_{comparison.metric}',
            mode=comparison.mode,
            save_weights_only=True,
        )
        built = build(fit, key, Path(folder), [best])
        Backbone.of(built.model, spec).load(take_prompt(spec))
        built.trainer.fit(built.model, datamodule=built.datamodule)
        if best.best_model_path:
            state = torch.load(best.best_model_path, map_location='cpu', weights_only=True)
            built.model.load_state_dict(state['state_dict'])
    return original(built.model.model)
