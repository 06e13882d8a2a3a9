"""Other models beside the fit's: what determines them, and which of their weights a probe leaves alone."""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import LightningModule
from torch import nn

from torchgeo_geosane.callbacks.tasks import original
from torchgeo_geosane.generate import identify
from torchgeo_geosane.models import FeatureEnsemble, PooledEnsemble
from torchgeo_geosane.providers.catalog import is_name
from torchgeo_geosane.providers.ensemble import specs_of


def identify_model(arguments: Mapping[str, Any]) -> str:
    """All that determines a model and the generated weights in it, as text.

    Args:
        arguments: Of the fit's model.

    Raises:
        GeoSANEError: If it names generated weights that cannot be had.
    """
    return (
        f'{sorted(arguments.items())} {[identify(spec) for spec in specs_of(_weights(arguments))]}'
    )


def _weights(arguments: Mapping[str, Any]) -> str:
    """The name of the generated weights that a task is asked for; empty where there are none."""
    weights = arguments.get('weights')
    named = [arguments.get(key) for key in ('backbone', 'model')] if weights is True else [weights]
    return next((name for name in named if isinstance(name, str) and is_name(name)), '')


def pretrained_part(task: LightningModule) -> tuple[nn.Module, set[str]]:
    """What a probe leaves alone: of an ensemble its members, else the encoder, or all but the head.

    Returns:
        A module, and the names of the parameters in it.
    """
    model = original(task.model)  # type: ignore[arg-type]
    encoder = getattr(model, 'encoder', None)
    module: nn.Module = original(encoder) if isinstance(encoder, nn.Module) else model
    names = {name for name, _ in module.named_parameters()}
    for prefix, each in module.named_modules():
        if isinstance(each, FeatureEnsemble | PooledEnsemble):
            inside = f'{prefix}.members.'.lstrip('.')
            return module, {name for name in names if name.startswith(inside)}
    classifier: Any = getattr(model, 'get_classifier', None)
    if module is model and classifier is not None:
        head = {id(parameter) for parameter in classifier().parameters()}
        names = {name for name, each in module.named_parameters() if id(each) not in head}
    return module, names
