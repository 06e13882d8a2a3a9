"""What a detector's backbone starts from: weights in every form that TorchGeo's other tasks take."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from torch import Tensor, nn
from torchgeo.models import get_weight
from torchvision.models._api import WeightsEnum

from torchgeo_geosane.errors import ArchitectureError, CacheError, GeoSANEError, SpecError
from torchgeo_geosane.providers.catalog import is_name
from torchgeo_geosane.providers.state_dict import GeneratedStateDict
from torchgeo_geosane.providers.timm import describe
from torchgeo_geosane.tasks.versions import extract_backbone

Weights: TypeAlias = WeightsEnum | str | bool | None
"""A member, a name, a URL or a path; True for pretrained ones of TorchGeo or timm; else None."""


@dataclass(frozen=True)
class Start:
    """Weights for a backbone, not yet read.

    Attributes:
        name: How they were asked for.
        architecture: Whose they are, as timm calls it.
        in_chans: How many bands they see; None where only the tensors tell.
        read: Generates or reads them: the state dict of the timm model.
    """

    name: str
    architecture: str
    in_chans: int | None
    read: Callable[[], Mapping[str, Tensor]]

    def check(self, architecture: str, in_chans: int) -> None:
        """Make sure, before anything is generated, that they are for a backbone.

        Raises:
            ArchitectureError: If they are for another architecture or other channels.
        """
        if self.architecture != architecture:
            raise ArchitectureError(
                f'{self.name} are weights of {self.architecture!r}, but the backbone is '
                f'{architecture!r}: set backbone: {self.architecture}, or ask for weights of '
                f'{architecture!r}'
            )
        if self.in_chans not in {None, in_chans}:
            raise ArchitectureError(
                f'{self.name} are for {self.in_chans} bands, but the task has '
                f'in_channels={in_chans}: set in_channels: {self.in_chans}, or ask for the bands '
                'that your data has: sensor=…[B4,B3,…] in the URL'
            )

    def load_into(self, body: nn.Module) -> None:
        """Load them into a backbone, all that it has.

        Raises:
            ArchitectureError: If a tensor of the backbone is missing or of another shape.
            GeoSANEError: If they cannot be generated.
        """
        tensors = self.read()
        wrong = [
            f'{name!r} is {_shape(tensors.get(name))} instead of {_shape(wanted)}'
            for name, wanted in body.state_dict().items()
            if _shape(tensors.get(name)) != _shape(wanted)
        ]
        if wrong:
            raise ArchitectureError(
                f'{self.name} do not fit the backbone {self.architecture!r} of the task: '
                f'{wrong[0]}' + (f', and {len(wrong) - 1} more' if wrong[1:] else '')
            )
        # Not strict: heads, last norms and counters of batches have no place in a detector.
        body.load_state_dict(tensors, strict=False)
        if isinstance(tensors, GeneratedStateDict):
            describe(body, tensors.spec)


def find_start(weights: Weights, backbone: str) -> Start | None:
    """What a task's arguments ask a backbone to start from.

    Args:
        weights: As the task was given them.
        backbone: As the task was given it; with True, it may be a name of ours.

    Returns:
        None where it is not for us to load: no weights, or those that come with torchvision or timm.

    Raises:
        GeoSANEError: If a name or a path stands for nothing, or a file is no checkpoint.
    """
    if weights is True and is_name(backbone):
        weights = backbone
    if isinstance(weights, str):
        if os.path.exists(weights):
            return _from_checkpoint(weights)
        weights = _find_member(weights)
    # torchvision's own members do not say which model they are for.
    if isinstance(weights, WeightsEnum) and 'model' in weights.meta:
        meta = weights.meta
        read = partial(weights.get_state_dict, progress=True)
        return Start(str(weights), meta['model'], meta.get('in_chans'), read)
    return None


def _find_member(name: str) -> WeightsEnum:
    try:
        return get_weight(name)
    except GeoSANEError:
        raise
    except ValueError as error:
        raise SpecError(f'{name!r} is neither a file nor the name of weights') from error


def _from_checkpoint(path: str) -> Start:
    try:
        architecture, tensors = extract_backbone(path)
    except Exception as error:  # torch.load raises many kinds for files that are something else.
        raise CacheError(
            f'{path} is not a checkpoint of a backbone: {error}; '
            'write one: torchgeo-geosane generate … --out weights.ckpt'
        ) from error
    return Start(path, architecture, None, lambda: tensors)


def _shape(tensor: Tensor | None) -> str:
    return 'missing' if tensor is None else str(tuple(tensor.shape))
