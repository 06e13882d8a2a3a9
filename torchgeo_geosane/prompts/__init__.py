"""Prompts: state dicts of the wanted architecture around which new weights are sampled."""

from torchgeo_geosane.prompts.base import Prompt, check_fits
from torchgeo_geosane.prompts.defaults import default_prompts
from torchgeo_geosane.prompts.reference import NAME as REFERENCE
from torchgeo_geosane.prompts.reference import keeps_reference
from torchgeo_geosane.prompts.resolve import list_prompts, resolve_prompt

__all__ = [
    'REFERENCE',
    'Prompt',
    'check_fits',
    'default_prompts',
    'keeps_reference',
    'list_prompts',
    'resolve_prompt',
]
