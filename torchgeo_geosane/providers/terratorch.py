"""The TerraTorch door: generated weights as backbones, ``geosane_<architecture>.<sensor>``.

TerraTorch finds backbones in sources, each with a prefix; this is the source ``geosane``. It is
registered when ``terratorch.registry`` is imported, before us or after: TerraTorch is heavy, and is
not imported here for those who do not use it.
"""

import logging
from collections.abc import Iterator, Set
from types import ModuleType
from typing import Any

import timm
from torch import nn

from torchgeo_geosane.errors import GeoSANEError
from torchgeo_geosane.providers.catalog import TIMM_PREFIX, find_spec
from torchgeo_geosane.providers.when_imported import when_imported

logger = logging.getLogger(__name__)

_PREFIX = TIMM_PREFIX.removesuffix('_')


class Backbones(Set[str]):
    """What TerraTorch asks for backbones, by names without its prefix: ``resnet50.sentinel2_all``."""

    def build(self, name: str, features_only: bool = True, *args: Any, **kwargs: Any) -> nn.Module:
        """Build a backbone that gives feature maps, in TerraTorch's own wrapper of timm's models.

        Raises:
            InvalidModelError: TerraTorch's, if the name stands for nothing; the message names the
                nearest.
            GeoSANEError: If the weights cannot be generated, or contradict the keywords.
        """
        from terratorch.registry.timm_registry import TimmBackboneWrapper
        from terratorch.utils import InvalidModelError

        full = f'{TIMM_PREFIX}{name}'
        try:
            find_spec(full)
        except GeoSANEError as error:
            raise InvalidModelError(str(error), model_name=full) from error
        model = timm.create_model(full, *args, features_only=features_only, **kwargs)
        backbone: nn.Module = TimmBackboneWrapper(model)
        # The wrapper keeps layers only, and this says whose weights they have.
        backbone.pretrained_cfg = model.pretrained_cfg
        return backbone

    def __iter__(self) -> Iterator[str]:
        return (name.removeprefix(TIMM_PREFIX) for name in timm.list_pretrained(f'{TIMM_PREFIX}*'))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return timm.is_model_pretrained(f'{TIMM_PREFIX}{name}')

    def __getitem__(self, name: str) -> Any:
        """What builds the backbone of a name: timm's entry point."""
        return timm.models.model_entrypoint(f'{TIMM_PREFIX}{name}')


def register() -> None:
    """Let TerraTorch find generated weights, now or as soon as it is imported."""
    when_imported('terratorch.registry', _register)


def _register(registry: ModuleType) -> None:
    try:
        if _PREFIX not in registry.BACKBONE_REGISTRY.keys():  # noqa: SIM118 - it iterates over models
            registry.BACKBONE_REGISTRY.register_source(_PREFIX, Backbones())
    except AttributeError as error:
        logger.warning('This version of TerraTorch takes no sources of backbones: %s', error)
