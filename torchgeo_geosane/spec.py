"""The spec: everything that determines generated weights, and its canonical URL.

``geosane://resnet50?sensor=sentinel2_all&prompt=torchgeo:…&foundry=embedded&sampler=kde&bandwidth=0.2&precision=float32&seed=0``
names one set of weights, anywhere. Only the architecture and the sensor must be written; the rest
has defaults.
"""

import dataclasses
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args
from urllib.parse import parse_qsl, quote, urlsplit

from torchgeo_geosane.architectures import check_architecture
from torchgeo_geosane.errors import SpecError, did_you_mean
from torchgeo_geosane.foundry.sampling import KDE, SAMPLERS, MeanKDE, Prior, Sampler
from torchgeo_geosane.prompts import REFERENCE, Prompt, default_prompts, resolve_prompt
from torchgeo_geosane.sensors import Sensor, get_sensor

SCHEME = 'geosane'
# Raised whenever the same spec would give other bytes than before, so that old cache entries are
# not found.
ALGORITHM = 2
# Raised whenever the same networks would be aligned otherwise than before.
ALIGNMENT = 3

Precision = Literal['float32', 'bfloat16']

_MAX_SEED = 2**63 - 1
_SAMPLER_FIELDS = {
    name: [field.name for field in dataclasses.fields(sampler)]
    for name, sampler in SAMPLERS.items()
}
# How many prompts a sampler takes; the others take any number.
_PROMPTS = {'linear': 2, 'spherical': 2, 'prior': 1, 'reconstruct': 1}
# Least and most. Latents are of the order of one: with more noise nothing is left of the prompt.
_RANGES = {
    'bandwidth': (0.0, 100.0),
    'fraction': (0.0, 1.0),
    'concentration': (0.01, 1000.0),
    'spread': (0.0, 100.0),
}
_PARAMETERS = (
    'sensor',
    'prompt',
    'foundry',
    'sampler',
    *_RANGES,
    'align',
    'precision',
    'seed',
)


@dataclass(frozen=True)
class Spec:
    """What is to be generated.

    Example:
        >>> spec = Spec('resnet50', 'sentinel2_all[B4,B3,B2]', seed=7)
        >>> spec == Spec.parse('geosane://resnet50?sensor=sentinel2_all[B4,B3,B2]&seed=7')
        True

    Attributes:
        architecture: A timm architecture, without a tag.
        sensor: Name of the sensor whose bands the stem takes, or some of them in an order of your
            own: ``'sentinel2_all[B4,B3,B2]'``.
        prompts: Names of the prompts; several only for samplers that mix. By default those for the
            architecture and the sensor, as many as the sampler takes; for ``Prior``, the reference
            in the foundry's file.
        foundry: ``embedded``, a Hub repository, or a path.
        sampler: How latents are drawn; by default ``KDE``, around several prompts ``MeanKDE``.
        precision: Of the foundry's matrix products.
        seed: Which of the many models; 0 … 2**63 - 1.
        align: Whether the units of the prompts are brought into one order: that of the foundry's
            reference, where it keeps one of the architecture, else that of the first prompt.
    """

    architecture: str
    sensor: str
    prompts: tuple[str, ...] = ()
    foundry: str = 'embedded'
    sampler: Sampler = None  # type: ignore[assignment]  # Filled in: it depends on the prompts.
    precision: Precision = 'float32'
    seed: int = 0
    align: bool = False

    def __post_init__(self) -> None:
        """Check every field, and fill in the default prompts and sampler.

        Raises:
            SpecError: If a field is malformed or unknown.
        """
        check_architecture(self.architecture)
        # One spelling: 'sentinel2_all[b08]' is 'sentinel2_all[B8]'.
        object.__setattr__(self, 'sensor', get_sensor(self.sensor).name)
        if not self.prompts:
            object.__setattr__(self, 'prompts', self._default_prompts())
        if self.sampler is None:
            object.__setattr__(self, 'sampler', MeanKDE() if len(self.prompts) > 1 else KDE())
        if self.precision not in get_args(Precision):
            raise SpecError(
                f'unknown precision {self.precision!r}'
                + did_you_mean(self.precision, get_args(Precision))
            )
        if (
            isinstance(self.seed, bool)
            or not isinstance(self.seed, int)
            or not 0 <= self.seed <= _MAX_SEED
        ):
            raise SpecError(f'the seed must be an integer from 0 to 2**63 - 1, not {self.seed!r}')
        self._check_sampler()
        if not isinstance(self.align, bool):
            raise SpecError(f'align must be true or false, not {self.align!r}')

    def _default_prompts(self) -> tuple[str, ...]:
        if isinstance(self.sampler, Prior):
            return (REFERENCE,)
        most = _PROMPTS.get(self.sampler.name) if self.sampler else None
        return default_prompts(self.architecture, self.sensor)[:most]

    def _check_sampler(self) -> None:
        name = self.sampler.name
        wanted = _PROMPTS.get(name, len(self.prompts))
        if len(self.prompts) != wanted:
            raise SpecError(
                f'the sampler {name!r} takes {wanted} prompt{"s" * (wanted > 1)}, '
                f'it was given {len(self.prompts)}: {", ".join(self.prompts)}'
            )
        if name == 'dirichlet' and len(self.prompts) < 2:
            raise SpecError(
                f'the sampler {name!r} mixes several prompts, and only one is named: '
                f'{self.prompts[0]}. Name more, or take another sampler'
            )
        for field in _SAMPLER_FIELDS[name]:
            value, (least, most) = getattr(self.sampler, field), _RANGES[field]
            if not isinstance(value, int | float) or not least <= value <= most:
                raise SpecError(
                    f'{field} must be a number from {least:g} to {most:g}, not {value!r}'
                )

    @classmethod
    def parse(cls, url: str) -> 'Spec':
        """Read a spec from its URL.

        Args:
            url: ``geosane://ARCHITECTURE?sensor=…``, parameters in any order.

        Raises:
            SpecError: If the URL is malformed, or something in it is unknown.
        """
        try:
            parts = urlsplit(str(url))
        except ValueError as error:  # An unclosed bracket, say.
            raise SpecError(f'not a GeoSANE URL: {url!r}: {error}') from error
        if parts.scheme != SCHEME or not parts.netloc or parts.path.strip('/') or parts.fragment:
            raise SpecError(
                f'not a GeoSANE URL: {url!r}; write {SCHEME}://ARCHITECTURE?sensor=SENSOR&seed=0, '
                f'e.g. {SCHEME}://resnet50?sensor=sentinel2_all'
            )
        values = _parameters(url, parts.query)
        if 'sensor' not in values:
            raise SpecError(f'{url!r} names no sensor: add ?sensor=…, e.g. ?sensor=sentinel2_all')
        named = values.get('sampler')
        spec = cls(
            architecture=parts.netloc,
            sensor=values['sensor'][0],
            prompts=tuple(values.get('prompt', ())),
            foundry=values.get('foundry', ['embedded'])[0],
            sampler=cast('Sampler', _parse_sampler(named[0], values) if named else None),
            align=_parse_align(values.get('align', ['false'])[0]),
            precision=cast('Precision', values.get('precision', ['float32'])[0]),
            seed=_parse_seed(values.get('seed', ['0'])[0]),
        )
        if named:
            return spec
        # Parameters alone are the default sampler's.
        return dataclasses.replace(spec, sampler=_parse_sampler(spec.sampler.name, values))

    @property
    def url(self) -> str:
        """The canonical URL: every parameter, in a fixed order; ``align`` only where it is true."""
        parameters: list[tuple[str, Any]] = [('sensor', self.sensor)]
        parameters += [('prompt', prompt) for prompt in self.prompts]
        parameters += [('foundry', self.foundry), ('sampler', self.sampler.name)]
        parameters += [
            (name, abs(float(getattr(self.sampler, name))))  # Minus zero is zero.
            for name in _SAMPLER_FIELDS[self.sampler.name]
        ]
        # Only where it is so: URLs from before there was an alignment stay what they were.
        parameters += [('align', 'true')] if self.align else []
        parameters += [('precision', self.precision), ('seed', self.seed)]
        query = '&'.join(
            f'{name}={quote(str(value), safe="/:.@,[]*")}' for name, value in parameters
        )
        return f'{SCHEME}://{self.architecture}?{query}'

    def key(self, fingerprints: Iterable[str]) -> str:
        """The identity of the result: a hash of the URL and of what its names stand for.

        Args:
            fingerprints: Of the foundry and of every prompt.

        Returns:
            16 hexadecimal digits.
        """
        algorithms = [ALGORITHM, ALIGNMENT] if self.align else [ALGORITHM]
        text = '\n'.join([*map(str, algorithms), self.url, *fingerprints])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def averages(self) -> bool:
        """Whether the result is no prompt's own: the statistics of norms then fit none."""
        shares = self.sampler.shares(len(self.prompts), self.seed)
        return isinstance(self.sampler, Prior) or sum(share > 0 for share in shares) > 1

    @property
    def averages_aligned(self) -> bool:
        """Whether the result is an average of networks in one order, which has lost variance."""
        return isinstance(self.sampler, Prior) or (self.align and self.averages)

    @property
    def target(self) -> Sensor:
        """The sensor whose bands the stem takes."""
        return get_sensor(self.sensor)

    def resolve_prompts(self) -> list[Prompt]:
        """Its prompts, as descriptions: no tensor is read and nothing is fetched.

        Raises:
            PromptError: If there is no such prompt for the architecture.
            FoundryError: If a prompt is the reference of a foundry that cannot be read.
        """
        return [
            resolve_prompt(name, self.architecture, self.target, self.seed, self.foundry)
            for name in self.prompts
        ]


def _parameters(url: str, query: str) -> dict[str, list[str]]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError as error:
        raise SpecError(
            f'malformed parameters in {url!r}: write name=value, joined by &'
        ) from error
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        if name not in _PARAMETERS:
            raise SpecError(
                f'unknown parameter {name!r} in {url!r}' + did_you_mean(name, _PARAMETERS)
            )
        if not value:
            raise SpecError(f'parameter {name!r} has no value in {url!r}')
        if name in values and name != 'prompt':
            raise SpecError(f'parameter {name!r} is given twice in {url!r}')
        values.setdefault(name, []).append(value)
    return values


def _parse_seed(text: str) -> int:
    if not text.isdecimal() or not text.isascii() or len(text) > len(str(_MAX_SEED)):
        raise SpecError(f'the seed must be an integer from 0 to 2**63 - 1, not {text[:40]!r}')
    return int(text)


def _parse_align(text: str) -> bool:
    if text not in ('true', 'false'):
        raise SpecError(f'align must be true or false, not {text!r}')
    return text == 'true'


def _parse_sampler(name: str, values: dict[str, list[str]]) -> Sampler:
    if name not in SAMPLERS:
        raise SpecError(f'unknown sampler {name!r}' + did_you_mean(name, SAMPLERS))
    numbers = {}
    for parameter in _RANGES:
        if parameter not in values:
            continue
        if parameter not in _SAMPLER_FIELDS[name]:
            raise SpecError(f'the sampler {name!r} takes no {parameter}')
        text = values[parameter][0]
        try:
            numbers[parameter] = float(text)
        except ValueError:
            raise SpecError(f'{parameter} must be a number, not {text!r}') from None
    return SAMPLERS[name](**numbers)
