"""The teacher of a distillation: a larger model, trained on the same task, data and budget."""

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
from torchgeo_geosane.generate import take_prompt


def train_teacher(comparison: ComparisonConfig, key: RunKey) -> nn.Module:
    """Train the teacher as a run of the same key would.

    Args:
        comparison: Its ``distillation`` says what the teacher is: one of the models, as it is
            written, or the larger model of the family, which starts from its prompt.
        key: Seed and share of the training data.

    Returns:
        The model inside the task, with the weights of the best validation.

    Raises:
        GeoSANEError: If the prompt cannot be had, or does not fit the teacher.
        ComparisonError: If the fit is malformed.
    """
    options, larger = comparison.distillation, comparison.material.larger
    changes = comparison.models[options.model] if options.model is not None else options.teacher
    with tempfile.TemporaryDirectory(prefix='geosane-teacher-') as folder:
        best = ModelCheckpoint(
            folder,
            monitor=f'val_{comparison.metric}',
            mode=comparison.mode,
            save_weights_only=True,
        )
        built = build(comparison.fit, key, Path(folder), [best], changes)
        if options.model is None and larger is not None:
            spec = replace(larger, sensor=comparison.material.spec.sensor)
            Backbone.of(built.model, spec).load(take_prompt(spec))
        built.trainer.fit(built.model, datamodule=built.datamodule)
        if best.best_model_path:
            state = torch.load(best.best_model_path, map_location='cpu', weights_only=True)
            built.model.load_state_dict(state['state_dict'])
    return original(built.model.model)
