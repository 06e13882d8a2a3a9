"""Which weights compete: those that fit the data's bands and the wanted size."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from typing import Literal

from torchgeo_geosane.architectures import get_architecture, list_architectures
from torchgeo_geosane.cache import entries
from torchgeo_geosane.errors import GeoSANEError, SpecError, did_you_mean
from torchgeo_geosane.export.pretrained_cfg import licence_of_spec
from torchgeo_geosane.foundry.foundry import is_local
from torchgeo_geosane.foundry.sampling import Average
from torchgeo_geosane.prompts import default_prompts, list_prompts, resolve_prompt
from torchgeo_geosane.prompts.presence import architecture_of, bytes_here
from torchgeo_geosane.prompts.pretrained import default as default_of_timm
from torchgeo_geosane.provenance import join_licences
from torchgeo_geosane.providers.catalog import ARCHITECTURES, find_spec, is_name
from torchgeo_geosane.rank.training_data import TrainingData
from torchgeo_geosane.rank.wanted import Wanted
from torchgeo_geosane.sensors import Band, get_sensor
from torchgeo_geosane.spec import Spec

Kind = Literal['prompt', 'average', 'generated', 'random']


@dataclass(frozen=True)
class BandUse:
    """How a prompt's stem comes to see the data's bands, see :func:`torchgeo_geosane.stem.band_mixture`.

    Attributes:
        copied: How many bands it saw itself.
        adapted: How many are interpolated between the wavelengths that it saw.
        averaged: How many are the mean of all its channels, because it saw nothing like them.
    """

    copied: int
    adapted: int
    averaged: int

    @classmethod
    def of(cls, source: Sequence[Band], target: Sequence[Band]) -> 'BandUse':
        """Count the bands of ``target`` by what ``source`` knows of each."""
        optical = any(band.wavelength is not None for band in source)
        same = [any(other.is_same(band) for other in source) for band in target]
        near = [optical and band.wavelength is not None for band in target]
        copied = sum(same)
        adapted = sum(n and not s for n, s in zip(near, same, strict=True))
        return cls(copied, adapted, len(target) - copied - adapted)

    def __str__(self) -> str:
        """``6 copied, 7 adapted``."""
        counts = (('copied', self.copied), ('adapted', self.adapted), ('averaged', self.averaged))
        return ', '.join(f'{count} {name}' for name, count in counts if count)


@dataclass(frozen=True)
class Contender:
    """Weights that compete.

    Attributes:
        spec: What they are; plain prompts by the sampler ``average``.
        kind: How they come about.
        licence: What they inherit.
        bands: How the first prompt's stem comes to see the data's bands.
        parameters: Of the encoder without head.
    """

    spec: Spec
    kind: Kind
    licence: str
    bands: BandUse
    parameters: int

    @property
    def name(self) -> str:
        """What they are called in tables."""
        prompts = ' + '.join(self.spec.prompts)
        if self.kind == 'random':
            return f'random {self.spec.architecture}'
        told = {'prompt': prompts, 'average': f'average of {prompts}'}
        seed = f', seed {self.spec.seed}' if self.spec.seed else ''
        return told.get(self.kind, f'generated around {prompts}{seed}')

    def bytes_here(self) -> int | None:
        """How large its prompts' files are; None where something would have to be fetched."""
        sizes = [bytes_here(prompt) for prompt in self.spec.resolve_prompts()]
        needs_foundry = self.kind == 'generated' and not is_local(self.spec.foundry)
        return None if None in sizes or needs_foundry else sum(size or 0 for size in sizes)


def find_contenders(wanted: Wanted, data: TrainingData) -> tuple[list[Contender], dict[str, str]]:
    """Find all weights that compete, the smallest first; nothing is fetched.

    Returns:
        The contenders, and what was named but does not fit, with why.

    Raises:
        SpecError: If a name is unknown, or nothing is left.
    """
    named = [_named(name, data) for name in wanted.names]
    most = wanted.max_parameters or 2 * data.parameters
    found = [] if wanted.only_names else list(_everything(wanted, data, most))
    specs = {spec.url: spec for spec in (*named, *found)}
    kept, skipped = [], {}
    for spec in specs.values():
        contender, reason = _judge(spec, spec in named, wanted)
        if contender is not None:
            kept.append(contender)
        elif spec in named:
            skipped[' + '.join(spec.prompts)] = reason
    if not kept:
        why = '; '.join(f'{name}: {reason}' for name, reason in skipped.items())
        raise SpecError(
            f'no weights fit: {why or "widen --architecture, --licence or --max_parameters"}'
        )
    return sorted(kept, key=lambda each: (each.parameters, each.spec.url)), skipped


@cache
def _parameters(architecture: str, in_chans: int) -> int:
    model = get_architecture(architecture, in_chans).build()
    return sum(parameter.numel() for parameter in model.parameters())


def _judge(spec: Spec, is_named: bool, wanted: Wanted) -> tuple[Contender | None, str]:
    """A contender, or why a spec is none; what is named competes whatever its size and bands."""
    try:
        parameters = _parameters(spec.architecture, spec.target.in_chans)
        prompts = spec.resolve_prompts()
    except GeoSANEError as error:
        return None, str(error)
    kind = _kind(spec)
    licences = [prompt.licence for prompt in prompts]
    licence = licence_of_spec(spec) if kind == 'generated' else join_licences(licences)
    if wanted.licence and kind != 'random' and not _matches(licence.lower(), wanted.licence):
        return None, f'its licence is {licence}'
    bands = BandUse.of(prompts[0].bands, spec.target.bands)
    if not (bands.copied or bands.adapted or is_named):
        return None, 'it saw none of the bands'
    return Contender(spec, kind, licence, bands, parameters), ''


def _kind(spec: Spec) -> Kind:
    if not isinstance(spec.sampler, Average):
        return 'generated'
    if spec.prompts == ('random',):
        return 'random'
    return 'prompt' if len(spec.prompts) == 1 else 'average'


def _everything(wanted: Wanted, data: TrainingData, most: float) -> Iterator[Spec]:
    """Of every architecture a random start, its prompts, their average, and what is generated around them."""
    sensor = data.sensor.name
    architectures = [
        name for name in _architectures(wanted, data) if _fits(name, data.sensor.in_chans, most)
    ]
    for architecture in architectures:
        for prompt in _prompts(architecture):
            yield Spec(architecture, sensor, (prompt,), sampler=Average())
        defaults = default_prompts(architecture, sensor)
        if default_of_timm(architecture) or not defaults[0].startswith('timm:'):
            if len(defaults) > 1:
                yield Spec(architecture, sensor, defaults, sampler=Average())
            yield Spec(architecture, sensor)
    for entry in entries():
        spec = Spec.parse(entry.provenance.url)
        if spec.sensor == sensor and spec.architecture in architectures:
            yield spec


def _fits(architecture: str, in_chans: int, most: float) -> bool:
    """Whether an architecture is no larger than wanted, and has a stem that can be fitted to bands."""
    try:
        fits = _parameters(architecture, in_chans) <= most
        return fits and bool(get_architecture(architecture, in_chans).stems)
    except GeoSANEError:
        return False


def _prompts(architecture: str) -> Iterator[str]:
    """All prompts; of timm's, which are dozens, the default and those that are here."""
    default = default_of_timm(architecture)
    for name in list_prompts(architecture):
        if not name.startswith('timm:') or name == default or _is_here(name, architecture):
            yield name


def _is_here(name: str, architecture: str) -> bool:
    try:
        prompt = resolve_prompt(name, architecture, get_sensor('rgb'), 0)
    except GeoSANEError:
        return False
    return bytes_here(prompt) is not None


def _architectures(wanted: Wanted, data: TrainingData) -> list[str]:
    if not wanted.architecture:
        own = [data.architecture] if data.architecture else []
        return list(dict.fromkeys([*own, *ARCHITECTURES.values()]))
    known = list_architectures()
    found = [name for name in known if _matches(name, wanted.architecture)]
    for pattern in wanted.architecture:
        if not any(fnmatchcase(name, pattern) for name in found):
            raise SpecError(f'unknown architecture {pattern!r}{did_you_mean(pattern, known)}')
    return found


def _matches(text: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(text, pattern.lower()) for pattern in patterns)


def _named(name: str, data: TrainingData) -> Spec:
    """What a name stands for, for the data's bands."""
    if is_name(name) or name.startswith('GeoSANE_'):
        return replace(find_spec(name), sensor=data.sensor.name)
    architecture = architecture_of(name) or data.architecture
    if architecture is None:
        raise SpecError(
            f'{name!r} does not tell its architecture: write '
            f'geosane://ARCHITECTURE?sensor={data.sensor.name}&prompt={name}&sampler=average'
        )
    resolve_prompt(name, architecture, data.sensor, 0)
    return Spec(architecture, data.sensor.name, (name,), sampler=Average())
