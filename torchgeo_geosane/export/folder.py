"""A folder that timm loads as ``local-dir:``, and that is ready for the Hugging Face Hub.

timm wants the same two files in both places, ``config.json`` and ``model.safetensors``; the Hub
shows a third, the model card.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import PretrainedCfg

from torchgeo_geosane.atomic import check_replaceable, replacing_folder
from torchgeo_geosane.candidate import Generated
from torchgeo_geosane.export.card import model_card
from torchgeo_geosane.provenance import Provenance, write_weights
from torchgeo_geosane.sensors import Sensor, get_sensor
from torchgeo_geosane.spec import Spec

CONFIG = 'config.json'
WEIGHTS = 'model.safetensors'
CARD = 'README.md'
_FILES = (CONFIG, WEIGHTS, CARD)

_PAPER = 'arXiv:2603.23408'


def write_folder(path: Path, generated: Generated) -> tuple[str, ...]:
    """Write the folder.

    Raises:
        CacheError: If it cannot be written, or another folder is in the way; nothing is left
            behind.
    """
    config = json.dumps(timm_config(generated.provenance), indent=2)
    card = model_card(generated)
    with replacing_folder(path, _FILES) as provisional:
        write_weights(provisional / WEIGHTS, generated.tensors, generated.provenance)
        (provisional / CONFIG).write_text(config + '\n', encoding='utf-8')
        (provisional / CARD).write_text(card, encoding='utf-8')
    return ()


def check_folder(path: Path, spec: Spec) -> None:
    """Make sure that writing the folder would delete nothing but an older version of it.

    Raises:
        CacheError: If it would.
    """
    check_replaceable(path, _FILES)


def timm_config(provenance: Provenance) -> dict[str, Any]:
    """What timm reads before the weights: the architecture, its input and its missing head.

    ``num_classes`` is 0 because the weights have no head: timm makes a fresh one of the size asked
    for. The channels in ``input_size`` are the stem's: timm builds the model for them and leaves
    the stem as it is.

    Returns:
        The content of ``config.json``, in timm's own layout.
    """
    architecture = provenance.architecture
    sensor = get_sensor(provenance.sensor)
    mean, std = normalisation(sensor)
    declared = timm.get_pretrained_cfg(architecture) or PretrainedCfg()
    stems = [tensor.removesuffix('.weight') for tensor in provenance.stem.tensors]
    first_conv: Any = stems[0] if len(stems) == 1 else stems
    config: Any = dataclasses.replace(
        declared,
        input_size=_channels(declared.input_size, sensor),
        test_input_size=_channels(declared.test_input_size, sensor),
        min_input_size=_channels(declared.min_input_size, sensor),
        mean=mean,
        std=std,
        num_classes=0,
        first_conv=first_conv,
        # What follows was said of timm's own file.
        custom_load=False,
        tag=None,
        label_offset=None,
        label_names=None,
        label_descriptions=None,
        description=None,
        notes=None,
        paper_name=None,
        paper_ids=_PAPER,
        origin_url=provenance.url,
        license=provenance.licence,
    )
    return {
        'architecture': architecture,
        'num_classes': 0,
        'num_features': _num_features(architecture),
        'pretrained_cfg': {
            name: value
            for name, value in config.to_dict(remove_source=True).items()
            if name != 'architecture'
        },
    }


def normalisation(sensor: Sensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Means and standard deviations of what ``ToTensor`` gives: 8-bit data divided by 255."""
    if sensor.mean is None or sensor.std is None:
        return (0.0,) * sensor.in_chans, (1.0,) * sensor.in_chans
    scales = [255.0 if band.units == '8-bit' else 1.0 for band in sensor.bands]
    mean = (value / scale for value, scale in zip(sensor.mean, scales, strict=True))
    std = (value / scale for value, scale in zip(sensor.std, scales, strict=True))
    return tuple(mean), tuple(std)


def _channels(size: Any, sensor: Sensor) -> Any:
    """An input size ``(channels, height, width)``, or None, for the sensor's channels."""
    return size and (sensor.in_chans, *size[1:])


def _num_features(architecture: str) -> int:
    with torch.random.fork_rng(devices=[]), torch.device('meta'):
        model: Any = timm.create_model(architecture, num_classes=0)
    return int(model.num_features)
