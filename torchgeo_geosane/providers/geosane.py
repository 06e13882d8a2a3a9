"""The names under which timm finds generated weights, and what its registry says of them.

timm wants entry points to be attributes of one module, and lists them under the last part of its
name: ``timm.list_models(module='geosane')``. It is the only file that calls ``timm.register_model``.

What follows a name's dot are the parameters of a URL: more than can be listed. timm's registry
knows tags by listing them all, so its tables are taken over here by ones that ask us where a name
is ours, and are timm's own for every other.
"""

import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import timm
from timm.models import PretrainedCfg, _registry, split_model_name_tag

from torchgeo_geosane.architectures import list_architectures
from torchgeo_geosane.errors import GeoSANEError
from torchgeo_geosane.export.pretrained_cfg import describe_spec
from torchgeo_geosane.providers import timm as door
from torchgeo_geosane.providers.catalog import TIMM_PREFIX, catalogue, find_spec
from torchgeo_geosane.spec import Spec

# timm appends the names that it registers.
__all__ = ['describe_name', 'register']


def register() -> None:
    """Make a name for every architecture known to timm, and let its registry know the weights."""
    module = sys.modules[__name__]
    for architecture in list_architectures():
        entrypoint = _entrypoint(architecture)
        setattr(module, entrypoint.__name__, entrypoint)
        timm.models.register_model(entrypoint)
    names = [f'{TIMM_PREFIX}{architecture}' for architecture in list_architectures()]
    tags = [f'{TIMM_PREFIX}{e.spec.architecture}.{e.spec.sensor}' for e in catalogue()]
    _know(names, tags)


def describe_name(name: str) -> PretrainedCfg:
    """What timm's registry says of a name: the sensor's channels and statistics, licence and origin.

    Beside timm's own fields it has those that smp reads: ``input_range`` and ``input_space``.

    Raises:
        GeoSANEError: If the name stands for nothing.
    """
    spec = find_spec(name)
    architecture, tag = split_model_name_tag(name)
    described = replace(
        describe_spec(spec, find_stem=False),
        architecture=architecture,
        tag=tag or None,
        url=spec.url,
    )
    # smp divides by 255 what exceeds 1, unless it is told otherwise.
    vars(described).update(input_space=spec.sensor, input_range=_input_range(spec))
    return described


def _entrypoint(architecture: str) -> Callable[..., Any]:
    """What timm calls for a name; the part behind the dot comes as ``pretrained_cfg``."""
    name = f'{TIMM_PREFIX}{architecture}'

    def entrypoint(pretrained: bool = False, pretrained_cfg: Any = None, **kwargs: Any) -> Any:
        return door.create(name, pretrained, pretrained_cfg, **kwargs)

    entrypoint.__name__ = entrypoint.__qualname__ = name
    entrypoint.__doc__ = f'The timm model {architecture}, if pretrained with generated weights.'
    return entrypoint


def _input_range(spec: Spec) -> list[float]:
    """The values that images have before they are normalised: 8-bit data are divided by 255."""
    if spec.target.units == '8-bit':
        return [0, 1]
    return [float('-inf'), float('inf')]


class _Name(str):
    """A listed name that is equal to the same name with any valid tag, for who looks through a list."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other) is True or (
            isinstance(other, str) and other.startswith(f'{self!s}.') and _stands(other)
        )

    __hash__ = str.__hash__


class _Names(set[str]):
    """The names with pretrained weights, ours with any valid tag."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or _stands(name)


class _Descriptions(dict[str, PretrainedCfg]):
    """What names stand for; ours are described when they are asked for."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or _is_ours(name)

    def __getitem__(self, name: str) -> PretrainedCfg:
        return describe_name(name) if _is_ours(name) else super().__getitem__(name)


def _is_ours(name: object) -> bool:
    """Whether a name is one of those that were registered here, with any tag."""
    return (
        isinstance(name, str)
        and name.startswith(TIMM_PREFIX)
        and (split_model_name_tag(name)[0] in sys.modules[__name__].__dict__)
    )


def _stands(name: object) -> bool:
    """Whether a name is ours and stands for weights."""
    if not _is_ours(name):
        return False
    try:
        find_spec(str(name))
    except GeoSANEError:
        return False
    return True


def _know(names: Iterable[str], tags: Iterable[str]) -> None:
    """Let timm's registry list names, and the tags of the catalogue, as pretrained."""
    tables: Any = _registry
    if not isinstance(tables._model_has_pretrained, _Names):
        tables._model_has_pretrained = _Names(tables._model_has_pretrained)
        tables._model_pretrained_cfgs = _Descriptions(tables._model_pretrained_cfgs)
    for name in map(_Name, names):
        tables._model_has_pretrained.add(name)
        tables._model_with_tags[str(name)] = [name]
    for tagged in tags:
        tables._model_has_pretrained.add(tagged)
        tables._model_with_tags[split_model_name_tag(tagged)[0]].append(tagged)
