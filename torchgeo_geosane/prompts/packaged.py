"""Prompts inside a Python package: the encoders of ``ukis-csmask``, as ``ukis:6b_l1c``.

Four U-Nets that find clouds in Sentinel-2 and Landsat images (Wieland et al. 2019,
doi:10.1016/j.rse.2019.05.022; Apache-2.0), with an EfficientNet-B4 encoder, stored as fp16 ONNX.
"""

import hashlib
import importlib.util
from functools import partial
from pathlib import Path

from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.errors import PromptError, TokenError, did_you_mean
from torchgeo_geosane.foundry.source import RenamedSource, TensorSource
from torchgeo_geosane.prompts.base import Prompt
from torchgeo_geosane.prompts.onnx_file import open_onnx
from torchgeo_geosane.sensors import get_sensor

_ARCHITECTURE = 'tf_efficientnet_b4'
_VERSION = '1.0.0'
_SHA256 = {
    '4b_l1c': '81611f290adc315b86bb7e7c69b0f2496b3abe0390c2a5c8e9e9da9622e8a0c8',
    '4b_l2a': '3884d75ca497ec59d8335973477bd31eb038857007bbb36fb2aba1ad375ee043',
    '6b_l1c': 'aa79e9a0f02ff8e0243d93771d1daf6a8d1166b7ac06c3771560b83367c6c573',
    '6b_l2a': 'd11c530978637ca420eedc40791c62bf78997dd39e1201777e2527e4bd94904e',
}
_SENSORS = {'4b': 'sentinel2_4', '6b': 'sentinel2_6'}
_INSTALL = 'pip install "torchgeo-geosane[offline]"'


def names(architecture: str) -> list[str]:
    """The prompts of this kind for an architecture."""
    return [f'ukis:{name}' for name in _SHA256] if architecture == _ARCHITECTURE else []


def resolve(rest: str, architecture: str) -> Prompt:
    """Describe one of the packaged encoders as a prompt; the package need not be installed yet.

    Args:
        rest: ``{6b,4b}_{l1c,l2a}``: bands, and the product level it was trained on.
        architecture: The timm architecture wanted.

    Raises:
        PromptError: If there is no such encoder, or the architecture is not ``tf_efficientnet_b4``.
    """
    if rest not in _SHA256:
        known = [f'ukis:{name}' for name in _SHA256]
        raise PromptError(f"unknown prompt 'ukis:{rest}'{did_you_mean('ukis:' + rest, known)}")
    if architecture != _ARCHITECTURE:
        raise PromptError(
            f"prompt 'ukis:{rest}' is an encoder of {_ARCHITECTURE!r}, not of {architecture!r}"
        )
    sensor = get_sensor(_SENSORS[rest[:2]])
    return Prompt(
        name=f'ukis:{rest}',
        architecture=architecture,
        bands=sensor.bands,
        sensor=sensor.name,
        source=f'ukis-csmask {_VERSION} (PyPI), model_{rest}.onnx, encoder',
        licence='Apache-2.0',
        fingerprint=f'sha256:{_SHA256[rest]}',
        load=partial(_load, rest),
    )


def _load(name: str) -> TensorSource:
    try:
        stored = open_onnx(_verified(name))
    except TokenError as error:
        raise PromptError(f"prompt 'ukis:{name}': {error}") from error
    encoder = [tensor for tensor in stored.names() if tensor.startswith('model.encoder.')]
    target = get_architecture(_ARCHITECTURE, get_sensor(_SENSORS[name[:2]]).in_chans).shapes
    # Both list their modules in the order of the forward pass; ONNX has no batch counters, and
    # the U-Net no conv_head and bn2, which come last.
    keys = [key for key in target if not key.endswith('num_batches_tracked')]
    return RenamedSource(stored, dict(zip(keys, encoder, strict=False)))


def _verified(name: str) -> Path:
    """One model file, if its bytes are those that the fingerprint promises."""
    spec = importlib.util.find_spec('ukis_csmask')
    if spec is None or spec.origin is None:
        raise PromptError(f"prompt 'ukis:{name}' is in the package ukis-csmask: {_INSTALL}")
    path = Path(spec.origin).with_name(f'model_{name}.onnx')
    try:
        with path.open('rb') as file:
            found = hashlib.file_digest(file, 'sha256').hexdigest()
    except OSError as error:
        raise PromptError(f"prompt 'ukis:{name}': {error}; reinstall it: {_INSTALL}") from error
    if found != _SHA256[name]:
        raise PromptError(
            f"prompt 'ukis:{name}': {path} is not the file of ukis-csmask {_VERSION} "
            f'(another version, or damaged); reinstall it: {_INSTALL}'
        )
    return path
