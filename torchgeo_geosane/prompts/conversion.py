"""timm's own conversion of weights: names of other versions and publishers, other image and window sizes.

timm's modules have functions that fit a state dict to a model before it is loaded (``checkpoint_filter_fn``): they
rename tensors, and resample position embeddings and relative position tables. Here they are given tensors that were
read as data; timm itself never opens the file.
"""

import inspect
import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.foundry.source import TensorSource
from torchgeo_geosane.foundry.surroundings import isolated

logger = logging.getLogger(__name__)

# What timm's modules call the function that fits published weights to the model.
_FILTERS = (
    'checkpoint_filter_fn',
    '_filter_fn',
    'pretrained_filter_fn',
    '_filter_torchvision_pretrained',
)


@isolated
def convert(
    source: TensorSource, prefix: str, architecture: str, in_chans: int
) -> dict[str, Tensor]:
    """Let timm fit tensors to an architecture.

    Args:
        source: The tensors; all under ``prefix`` are read.
        prefix: What the names begin with; left out before timm sees them.
        architecture: A timm architecture.
        in_chans: The channels that the stem is known to see.

    Returns:
        Tensors under timm's names; none where timm has no conversion for the architecture, or it fails.

    Raises:
        TokenError: If a tensor cannot be read.
    """
    model = get_architecture(architecture, in_chans).build()
    function = _filter_of(model)
    if function is None:
        return {}
    tensors = {
        name.removeprefix(prefix): source.read(name)
        for name in source.names()
        if name.startswith(prefix)
    }
    try:
        takes_model = len(inspect.signature(function).parameters) > 1
        with torch.no_grad():
            fitted = function(tensors, model) if takes_model else function(tensors)
    except Exception as error:  # Whatever goes wrong with tensors that are another model's.
        logger.debug('timm does not convert %r: %s', architecture, error)
        return {}
    # What the file lacks, some of them fill up from the model, which has no values.
    return {
        name: tensor.detach()
        for name, tensor in fitted.items()
        if isinstance(tensor, Tensor) and not tensor.is_meta
    }


def _filter_of(model: nn.Module) -> Callable[..., Mapping[str, Any]] | None:
    module = sys.modules[type(model).__module__]
    return next((getattr(module, name) for name in _FILTERS if hasattr(module, name)), None)
