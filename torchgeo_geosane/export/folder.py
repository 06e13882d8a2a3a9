"""A folder that timm loads as ``local-dir:``, and that is ready for the Hugging Face Hub.

timm wants the same two files in both places, ``config.json`` and ``model.safetensors``; the Hub
shows a third, the model card.
"""

import json
from pathlib import Path
from typing import Any

from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.atomic import check_replaceable, replacing_folder
from torchgeo_geosane.candidate import Generated
from torchgeo_geosane.export.card import model_card
from torchgeo_geosane.export.pretrained_cfg import describe_provenance
from torchgeo_geosane.provenance import Provenance, write_weights
from torchgeo_geosane.spec import Spec

CONFIG = 'config.json'
WEIGHTS = 'model.safetensors'
CARD = 'README.md'
_FILES = (CONFIG, WEIGHTS, CARD)


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
    config: Any = describe_provenance(provenance)
    return {
        'architecture': provenance.architecture,
        'num_classes': config.num_classes,
        'num_features': get_architecture(provenance.architecture).num_features,
        'pretrained_cfg': {
            name: value
            for name, value in config.to_dict(remove_source=True).items()
            if name != 'architecture'
        },
    }
