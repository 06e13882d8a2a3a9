"""Prompts from timm's pretrained weights: ``timm:resnet50`` or ``timm:resnet50.a1_in1k``."""

from functools import partial
from pathlib import Path

import timm
from timm.models import PretrainedCfg, get_arch_pretrained_cfgs

from torchgeo_geosane.construction import construct
from torchgeo_geosane.errors import PromptError, did_you_mean
from torchgeo_geosane.foundry.source import StateDictSource, TensorSource
from torchgeo_geosane.prompts import hub
from torchgeo_geosane.prompts.base import Prompt
from torchgeo_geosane.prompts.network import require_answer, unreachable
from torchgeo_geosane.sensors import get_sensor


def names(architecture: str) -> list[str]:
    """The prompts of this kind for an architecture."""
    # Not timm.list_pretrained, which goes through all architectures each time.
    tagged = sorted(get_arch_pretrained_cfgs(architecture))
    return [f'timm:{name}' for name in tagged if timm.is_model_pretrained(name)]


def resolve(rest: str, architecture: str) -> Prompt:
    """Describe pretrained weights of timm as a prompt.

    Args:
        rest: ``<architecture>[.<tag>]``; without a tag, timm's default.
        architecture: The timm architecture wanted.

    Raises:
        PromptError: If timm has no such weights, they are another architecture's, or were not
            trained on RGB.
    """
    known = names(architecture)
    tagged = rest if '.' in rest else f'{rest}.{_default_tag(rest)}'
    if not known:
        raise PromptError(
            f"prompt 'timm:{rest}': timm has no pretrained weights of {architecture!r}; "
            "use 'file:<path>' to weights of your own, or 'random'"
        )
    if f'timm:{tagged}' not in known:
        raise PromptError(
            f"unknown prompt 'timm:{rest}' for {architecture!r}"
            f'{did_you_mean("timm:" + rest, known)}'
        )
    config = _config(tagged)
    in_chans = config.input_size[0]
    if in_chans != 3:
        raise PromptError(f"prompt 'timm:{tagged}' sees {in_chans} unknown bands, not RGB")
    place = config.hf_hub_id or config.url
    sensor = get_sensor('rgb')
    return Prompt(
        name=f'timm:{tagged}',
        architecture=architecture,
        bands=sensor.bands,
        sensor=sensor.name,
        source=f'https://huggingface.co/{place}' if config.hf_hub_id else str(place),
        licence=config.license or 'unknown',
        fingerprint=f'timm:{tagged}@{place}',
        load=partial(_load, tagged, architecture),
    )


def default(architecture: str) -> str | None:
    """The prompt with timm's default tag; None where timm has no pretrained weights."""
    name = f'timm:{architecture}.{_default_tag(architecture)}'
    return name if name in names(architecture) else None


def downloaded(rest: str) -> Path | None:
    """Where the hub's cache holds weights of timm; None where they are to be fetched."""
    config = _config(rest)
    overlay = _cached(config)
    if overlay is not None:
        return Path(str(overlay['file']))
    path = hub.downloaded(str(config.url)) if config.url and not config.hf_hub_id else None
    return path if path and path.exists() else None


def _default_tag(architecture: str) -> str:
    return (_config(architecture).tag or '') if timm.is_model(architecture) else ''


def _config(name: str) -> PretrainedCfg:
    return timm.get_pretrained_cfg(name) or PretrainedCfg()


def _load(tagged: str, architecture: str) -> TensorSource:
    """Let timm build and load the model, because it renames and reshapes as each model needs."""
    config = _config(tagged)
    overlay = _cached(config)
    try:
        if overlay is None:
            _require_network(config)
        model = construct(
            partial(
                timm.create_model,
                tagged,
                pretrained=True,
                num_classes=0,
                pretrained_cfg_overlay=overlay,
            )
        )
    except Exception as error:  # timm, the hub and its HTTP client each raise their own
        raise unreachable(f'timm:{tagged}', architecture, error) from error
    return StateDictSource(model.state_dict())


def _cached(config: PretrainedCfg) -> dict[str, object] | None:
    """The settings with which timm reads the hub's cached file without asking the hub."""
    from huggingface_hub import try_to_load_from_cache

    # Models with a loader of their own expect their own file format.
    if not config.hf_hub_id or str(config.custom_load) == 'hf':
        return None
    for filename in (config.hf_hub_filename, 'model.safetensors', 'pytorch_model.bin'):
        path = try_to_load_from_cache(config.hf_hub_id, filename) if filename else None
        if isinstance(path, str):
            return {'file': path, 'custom_load': False}
    return None


def _require_network(config: PretrainedCfg) -> None:
    from huggingface_hub import constants

    if not config.hf_hub_id:
        require_answer(str(config.url))
    elif constants.HF_HUB_OFFLINE:
        raise ConnectionError('HF_HUB_OFFLINE is set, and the file is not in the cache')
    else:
        require_answer(constants.ENDPOINT)
