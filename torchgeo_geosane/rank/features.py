"""Features of the training images by weights that compete: computed once, then read from the cache."""

import hashlib
import importlib.metadata
import logging
import statistics
import time
from dataclasses import dataclass
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from torchgeo_geosane.atomic import replacing
from torchgeo_geosane.callbacks.backbone import Backbone
from torchgeo_geosane.callbacks.judge import conditioned_features
from torchgeo_geosane.errors import ArchitectureError, CacheError, GeoSANEError
from torchgeo_geosane.foundry.sampling import Average
from torchgeo_geosane.generate import create, generate, identify
from torchgeo_geosane.places import directory
from torchgeo_geosane.providers.timm import build
from torchgeo_geosane.rank.quiet import quiet
from torchgeo_geosane.rank.training_data import TrainingData
from torchgeo_geosane.spec import Spec

logger = logging.getLogger(__name__)

# Raised whenever the same weights and images would give other features than before.
ALGORITHM = 1
_FOLDER = 'features'
_VERSIONED = ('torch', 'timm')
_TIMED = 3  # The first pass of a network is slow; the middle one of three is not.


@dataclass(frozen=True)
class Observed:
    """What weights make of the training images.

    Attributes:
        features: float32 ``[images, rows, columns, d]``, on the CPU.
        milliseconds: Time an image takes on this machine, in batches of the training's size.
    """

    features: Tensor
    milliseconds: float


def observe(spec: Spec, data: TrainingData) -> Observed:
    """Features of the training images by a spec's weights, frozen, BatchNorm conditioned on these images.

    Raises:
        GeoSANEError: If the weights cannot be had, or their architecture cannot see such images.
    """
    text = [str(ALGORITHM), identify(spec), data.fingerprint, str(data.predicts_maps)]
    text += [importlib.metadata.version(package) for package in _VERSIONED]
    name = hashlib.sha256('\n'.join(text).encode()).hexdigest()[:16]
    path = directory() / _FOLDER / f'{name}.safetensors'
    if path.is_file():
        try:
            held = load_file(path)
            return Observed(held['features'], held['milliseconds'].item())
        except (SafetensorError, OSError, KeyError) as error:
            logger.warning('%s: %s. Computing its features again.', path, error)
    # Plain prompts are in files of their own: no copy of them is cached.
    plain = isinstance(spec.sampler, Average)
    made = create(spec, [spec.seed])[0] if plain else generate(spec)
    observed = observe_tensors(spec, made.tensors, data)
    tensors = {
        'features': observed.features.contiguous(),
        'milliseconds': torch.tensor(observed.milliseconds),
    }
    try:
        with replacing(path) as provisional:
            save_file(tensors, provisional)
    except CacheError as error:
        logger.warning('The features were not cached: %s', error)
    return observed


def observe_tensors(spec: Spec, tensors: dict[str, Tensor], data: TrainingData) -> Observed:
    """The same for any state dict of a spec's architecture and bands, past the cache.

    Raises:
        ArchitectureError: If the architecture cannot see such images.
    """
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        backbone = Backbone.alone(feature_model(spec, tensors, data).to(device), spec)
        features = conditioned_features(backbone, data.examples, device)
        return Observed(features, _milliseconds(backbone, data, device))
    except GeoSANEError:
        raise
    except (RuntimeError, ValueError, AssertionError, TypeError, IndexError) as error:
        # Whatever a network's own code raises on images that it is not made for.
        told = (str(error).splitlines() or [''])[0]
        raise ArchitectureError(
            f'{spec.architecture!r} cannot see images of {data.size[0]} x {data.size[1]}: '
            f'{type(error).__name__} {told}'
        ) from error


def feature_model(spec: Spec, tensors: dict[str, Tensor], data: TrainingData) -> nn.Module:
    """A feature extractor for tasks that predict maps, else the model without head."""
    settings: dict[str, Any] = {'features_only': True} if data.predicts_maps else {'num_classes': 0}
    declared = timm.get_pretrained_cfg(spec.architecture)
    if declared and declared.fixed_input_size and declared.input_size[1:] != data.size:
        settings['img_size'] = data.size  # Positions are resampled.
    with quiet():
        return build(spec, tensors, **settings).eval().requires_grad_(False)


def _milliseconds(backbone: Backbone, data: TrainingData, device: torch.device) -> float:
    batch = data.examples.images[0].to(device)
    taken = []
    for _ in range(_TIMED):
        began = time.perf_counter()
        backbone.features(batch)  # Ends on the CPU: a GPU is waited for.
        taken.append(time.perf_counter() - began)
    return 1000 * statistics.median(taken) / len(batch)
