"""Ensembles by a timm name: ``geosane_ensemble.<architecture>.<sensor>+<architecture>.<sensor>``.

Members are written as :mod:`~torchgeo_geosane.providers.geosane` has them, without ``geosane_``;
options of the ensemble follow a question mark: ``…+vit_tiny_patch16_224.rgb?reduce=256&join=mean``.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import timm
from timm.models import PretrainedCfg
from torch import nn

from torchgeo_geosane.errors import ArchitectureError, SensorError, SpecError, did_you_mean
from torchgeo_geosane.models.ensemble import FeatureEnsemble, Join, Member, PooledEnsemble
from torchgeo_geosane.providers.catalog import ENSEMBLE, TIMM_PREFIX, find_spec, timm_name
from torchgeo_geosane.providers.timm import create
from torchgeo_geosane.sensors import Band
from torchgeo_geosane.spec import Spec

NAME = f'{TIMM_PREFIX}{ENSEMBLE}'
_OPTIONS = ('join', 'reduce', 'trainable', 'global_pool')
# Of the keywords of timm's models, what a member may be given.
_OF_MEMBERS = ('img_size',)

# timm appends the names that it registers.
__all__ = ['EnsembleSpec', 'build_ensemble', 'is_ensemble', 'register', 'specs_of']


@dataclass(frozen=True)
class EnsembleSpec:
    """What a name says.

    Attributes:
        members: The encoders.
        bands: What the ensemble sees: the bands of all members, each once.
        join: See :class:`~torchgeo_geosane.models.ensemble.FeatureEnsemble`.
        reduce: See there.
        trainable: See there.
        global_pool: How members pool for a classification; None is timm's way.
    """

    members: tuple[Spec, ...]
    bands: tuple[Band, ...]
    join: Join = 'concat'
    reduce: int | None = None
    trainable: bool = False
    global_pool: str | None = None

    @classmethod
    def parse(cls, name: str) -> 'EnsembleSpec':
        """Read a name, with or without ``geosane_ensemble.``.

        Raises:
            SpecError: If a member or an option is unknown, or there are fewer than two members.
        """
        text = name.removeprefix('tu-').removeprefix(f'{NAME}.')
        members, _, query = text.partition('?')
        parts = [part for part in members.split('+') if part]
        if len(parts) < 2:
            raise SpecError(
                f'{name!r} names {len(parts)} member{"s" * (len(parts) != 1)}: write two or more, as '
                f'{NAME}.resnet18.sentinel2_all+tf_efficientnet_b4.sentinel2_all'
            )
        nested = [part for part in parts if part.startswith(f'{ENSEMBLE}.')]
        if nested:
            raise SpecError(f'{nested[0]!r} is an ensemble itself: name its members in its place')
        specs = tuple(find_spec(f'{TIMM_PREFIX}{part}') for part in parts)
        return cls(specs, _bands(specs), **_options(name, query))

    def channels(self, spec: Spec) -> tuple[int, ...]:
        """Where a member's bands are among the ensemble's.

        Raises:
            SensorError: If one is not among them.
        """
        return channels_of(spec.target.bands, self.bands)


def is_ensemble(name: str) -> bool:
    """Whether a name is meant for an ensemble, with or without smp's ``tu-``."""
    return name.removeprefix('tu-').partition('.')[0] == NAME


def specs_of(name: str) -> tuple[Spec, ...]:
    """What a name stands for: its spec, those of an ensemble's members, none of an empty name.

    Raises:
        SpecError: If it stands for nothing.
    """
    if is_ensemble(name):
        return EnsembleSpec.parse(name).members
    return (find_spec(name),) if name else ()


def channels_of(wanted: Sequence[Band], given: Sequence[Band]) -> tuple[int, ...]:
    """Where some bands are among those of the data, by name and wavelength.

    Raises:
        SensorError: If one is not among them.
    """
    found = []
    for band in wanted:
        same = [at for at, other in enumerate(given) if band.is_same(other)]
        if not same:
            raise SensorError(
                f'band {band.name} is not among {", ".join(other.name for other in given)}: choose a '
                'member whose bands the data have'
            )
        found.append(same[0])
    return tuple(found)


def _bands(specs: Sequence[Spec]) -> tuple[Band, ...]:
    """Those of the member that has all; else all bands in the order of the members."""
    for spec in specs:
        bands = spec.target.bands
        if all(any(b.is_same(o) for o in bands) for s in specs for b in s.target.bands):
            return bands
    joined: list[Band] = []
    for spec in specs:
        joined += [
            band for band in spec.target.bands if not any(band.is_same(other) for other in joined)
        ]
    return tuple(joined)


def _options(name: str, query: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in _OPTIONS:
            raise SpecError(f'{name!r}: unknown option {key!r}{did_you_mean(key, _OPTIONS)}')
        found[key] = value
    if 'reduce' in found:
        if not found['reduce'].isdigit():
            raise SpecError(f'{name!r}: reduce is a number of channels, not {found["reduce"]!r}')
        found['reduce'] = int(found['reduce'])
    if 'trainable' in found:
        if found['trainable'] not in {'true', 'false'}:
            raise SpecError(f'{name!r}: trainable is true or false, not {found["trainable"]!r}')
        found['trainable'] = found['trainable'] == 'true'
    return found


def build_ensemble(
    spec: EnsembleSpec,
    pretrained: bool = True,
    features_only: bool = False,
    num_classes: int = 1000,
    in_chans: int | None = None,
    out_indices: Sequence[int] | None = None,
    **kwargs: Any,
) -> nn.Module:
    """Build an ensemble.

    Args:
        spec: What it is made of.
        pretrained: Whether members have generated weights.
        features_only: A feature extractor instead of a classifier.
        num_classes: Of a classifier.
        in_chans: Bands of the data; to be sure, where it is given.
        out_indices: Levels of a feature extractor.
        **kwargs: ``img_size``, for the members that take it.

    Raises:
        ArchitectureError: If ``in_chans`` is another number, a keyword is unknown, or a member
            cannot be what is asked.
        GeoSANEError: If weights cannot be generated.
    """
    if in_chans not in {None, len(spec.bands)}:
        raise ArchitectureError(
            f'the ensemble sees {len(spec.bands)} bands ({", ".join(b.name for b in spec.bands)}), '
            f'but was asked for {in_chans} input channels'
        )
    strange = [key for key, value in kwargs.items() if key not in _OF_MEMBERS and value is not None]
    if strange:
        raise ArchitectureError(
            f'an ensemble does not take {strange[0]!r}; it takes num_classes, features_only, '
            f'out_indices, {", ".join(_OF_MEMBERS)}'
        )
    members = [
        _build_member(each, spec, pretrained, features_only, kwargs) for each in spec.members
    ]
    joined: dict[str, Any] = {'join': spec.join, 'reduce': spec.reduce, 'trainable': spec.trainable}
    model: nn.Module = (
        FeatureEnsemble(members, out_indices=out_indices, **joined)
        if features_only
        else PooledEnsemble(members, num_classes, **joined)
    )
    card = _card(spec, num_classes)
    model.pretrained_cfg = model.default_cfg = card  # type: ignore[assignment]
    return model


def _build_member(
    each: Spec,
    spec: EnsembleSpec,
    pretrained: bool,
    features_only: bool,
    kwargs: Mapping[str, Any],
) -> Member:
    name = timm_name(each)
    tag = name.partition('.')[2]
    base: dict[str, Any] = {'features_only': True} if features_only else {'num_classes': 0}
    if spec.global_pool and not features_only:
        base['global_pool'] = spec.global_pool
    given = {key: value for key, value in kwargs.items() if value is not None}
    failure: Exception | None = None
    # Transformers take images of other sizes than theirs where they are asked to.
    for sizes in (given, {'dynamic_img_size': True}, {'strict_img_size': False}, {}):
        try:
            model = create(f'{TIMM_PREFIX}{each.architecture}', pretrained, tag, **base, **sizes)
        except TypeError as error:
            failure = error
            continue
        except (RuntimeError, AttributeError, AssertionError, NotImplementedError) as error:
            raise ArchitectureError(f'{name!r} cannot be a member: {error}') from error
        return Member(name, model, spec.channels(each))
    raise ArchitectureError(f'{name!r} cannot be a member: {failure}') from failure


def _card(spec: EnsembleSpec, num_classes: int) -> dict[str, Any]:
    """What timm and others read of a model: its licence is that of all members together."""
    names = [timm_name(each) for each in spec.members]
    return {
        'architecture': NAME,
        'tag': '+'.join(name.removeprefix(TIMM_PREFIX) for name in names),
        'input_size': (len(spec.bands), 224, 224),
        'num_classes': num_classes,
        'notes': tuple(f'member {name}, its card is its own' for name in names),
    }


def geosane_ensemble(pretrained: bool = False, pretrained_cfg: Any = None, **kwargs: Any) -> Any:
    """What timm calls for a name; the part behind the first dot comes as ``pretrained_cfg``."""
    if isinstance(pretrained_cfg, PretrainedCfg):
        pretrained_cfg = pretrained_cfg.tag
    if isinstance(pretrained_cfg, Mapping):
        pretrained_cfg = pretrained_cfg.get('tag')
    kwargs = {key: value for key, value in kwargs.items() if value is not None}
    kwargs.pop('pretrained_cfg_overlay', None)
    return build_ensemble(EnsembleSpec.parse(str(pretrained_cfg or '')), pretrained, **kwargs)


def register() -> None:
    """Let timm know the name."""
    assert sys.modules[__name__].__dict__[NAME] is geosane_ensemble
    timm.models.register_model(geosane_ensemble)
