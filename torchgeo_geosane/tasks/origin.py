"""What the weights of a task are: of ours, of others, or none."""

import os

from lightning.pytorch import LightningModule

from torchgeo_geosane.export import provenance_of
from torchgeo_geosane.providers.catalog import find_spec, is_name
from torchgeo_geosane.providers.ensemble import EnsembleSpec, is_ensemble
from torchgeo_geosane.providers.torchgeo import GeoSANEWeights
from torchgeo_geosane.spec import Spec


def spec_of(task: LightningModule) -> Spec | None:
    """What the weights that a task started from stand for; None where they are not ours, or several.

    Args:
        task: Its ``weights`` may be a member, a name, a URL, a file that we wrote, or True beside
            a timm name of ours.

    Raises:
        GeoSANEError: If a name of ours is misspelled, or a file of ours is damaged.
    """
    weights = getattr(task, 'weights', None)
    if isinstance(weights, GeoSANEWeights):
        return weights.spec
    if weights is True:
        name = _own_name(task)
        return find_spec(name) if name and not is_ensemble(name) else None
    if isinstance(weights, str) and os.path.exists(weights):
        return Spec.parse(provenance_of(weights).url)
    if isinstance(weights, str) and is_name(weights):
        return find_spec(weights)
    return None


def ensemble_of(task: LightningModule) -> EnsembleSpec | None:
    """The ensemble that a task started from; None where it did from none of ours.

    Raises:
        SpecError: If its name is misspelled.
    """
    name = _own_name(task) if getattr(task, 'weights', None) is True else ''
    return EnsembleSpec.parse(name) if is_ensemble(name) else None


def _own_name(task: LightningModule) -> str:
    return next((name for name in timm_names(task).values() if is_name(name)), '')


def timm_names(task: LightningModule) -> dict[str, str]:
    """The architectures that a task names, by the argument: its backbone, else its model."""
    named = {key: task.hparams.get(key) for key in ('backbone', 'model')}
    return {key: name for key, name in named.items() if isinstance(name, str)}
