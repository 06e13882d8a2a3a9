"""Provenance: where weights come from, stored inside every file we write; and those files.

A weights file is a safetensors file whose header holds the provenance as JSON and a sha256 over it
and all tensors.
Reading verifies it, so a damaged file is never trusted.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from torch import Tensor

from torchgeo_geosane.atomic import replacing
from torchgeo_geosane.errors import CacheError
from torchgeo_geosane.foundry.digest import digest
from torchgeo_geosane.foundry.files import ContentError, printable, telling
from torchgeo_geosane.foundry.records import parse
from torchgeo_geosane.foundry.safetensors_writer import write_safetensors
from torchgeo_geosane.foundry.source import SafetensorsSource
from torchgeo_geosane.foundry.surroundings import isolated

Coverage = Literal['generated', 'adapted', 'prompt', 'initialised']

FORMAT = 'torchgeo-geosane weights 2'


@dataclass(frozen=True)
class AlignmentRecord:
    """How a prompt was brought into the order of the first one.

    Attributes:
        units: How many of its units could move.
        moved: How many did.
        before: Mean cosine between the weights of both before that.
        after: The same after it.
        chance: What a network of noise comes to, aligned alike; None where nothing moved.
        left_out: Groups of units that could not move, and why.
    """

    units: int
    moved: int
    before: float
    after: float
    chance: float | None
    left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PromptRecord:
    """Which prompt weights were generated around."""

    name: str
    source: str
    licence: str
    fingerprint: str
    sensor: str
    bands: tuple[str, ...]
    alignment: AlignmentRecord | None = None


@dataclass(frozen=True)
class StemRecord:
    """What became of the first convolution.

    Attributes:
        tensors: Its names; more than one where branches see the image side by side.
        prompt_bands: The bands it saw in the prompt.
        bands: The bands it sees now.
        adapted: Whether it was rebuilt for other bands than the prompt's.
    """

    tensors: tuple[str, ...]
    prompt_bands: tuple[str, ...]
    bands: tuple[str, ...]
    adapted: bool


@dataclass(frozen=True)
class Provenance:
    """Everything that tells where weights come from.

    Attributes:
        url: Canonical URL of the spec.
        key: The spec's key, with the fingerprints counted in.
        architecture: timm architecture.
        sensor: Sensor of the stem.
        foundry: Name of the foundry.
        foundry_fingerprint: Hash of its weights.
        foundry_licence: Licence of its weights.
        prompts: The prompts.
        stem: What became of the stem.
        versions: Versions of what computed the weights.
        coverage: For every tensor: ``generated`` by the foundry, ``adapted`` (generated, then
            fitted to the sensor's
            bands), copied from the ``prompt``, or freshly ``initialised``.
    """

    url: str
    key: str
    architecture: str
    sensor: str
    foundry: str
    foundry_fingerprint: str
    foundry_licence: str
    prompts: tuple[PromptRecord, ...]
    stem: StemRecord
    versions: Mapping[str, str]
    coverage: Mapping[str, Coverage] = field(repr=False)

    @property
    def licence(self) -> str:
        """The licences that the weights inherit: the foundry's and the prompts'."""
        return join_licences([self.foundry_licence, *(prompt.licence for prompt in self.prompts)])

    def counts(self) -> dict[Coverage, int]:
        """How many tensors are of each kind of coverage."""
        return dict(Counter(self.coverage.values()))

    def to_json(self) -> str:
        """The provenance as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> 'Provenance':
        """Read what ``to_json`` wrote.

        Raises:
            CacheError: If it is something else.
        """
        with telling(CacheError, 'the provenance is not readable'):
            if not isinstance(text, str):
                raise ContentError('it is no text')
            provenance: Provenance = parse(cls, json.loads(text))
        return provenance


def join_licences(licences: Iterable[str]) -> str:
    """Licences that all hold, each once."""
    return ', '.join(dict.fromkeys(licences))


@isolated
def write_weights(path: str | Path, tensors: Mapping[str, Tensor], provenance: Provenance) -> None:
    """Write a weights file; ``path`` appears only once the file is complete and on the disk.

    Raises:
        CacheError: If the disk refuses; nothing is left behind.
    """
    text = provenance.to_json()
    metadata = {'format': FORMAT, 'digest': digest(tensors, text), 'provenance': text}
    with replacing(Path(path)) as provisional:
        write_safetensors(provisional, tensors, metadata)


def read_provenance(path: str | Path) -> Provenance:
    """The provenance of a weights file, without reading its tensors.

    Raises:
        CacheError: If it is not a weights file of ours.
    """
    return Provenance.from_json(_open(path)[1]['provenance'])


@isolated
def read_weights(path: str | Path) -> tuple[dict[str, Tensor], Provenance]:
    """Read and verify a weights file.

    What is verified is what is returned: nothing of it stays in the file, which may change.

    Raises:
        CacheError: If it is damaged, or not ours.
    """
    source, metadata = _open(path)
    with telling(CacheError, f'{printable(path)} is damaged'):
        tensors = {name: source.read(name) for name in source.names()}
    if digest(tensors, metadata['provenance']) != metadata['digest']:
        raise CacheError(f'{path} is damaged: it does not have the sha256 that its header states')
    provenance = Provenance.from_json(metadata['provenance'])
    if provenance.coverage.keys() != tensors.keys():
        raise CacheError(f'{path} is damaged: its provenance speaks of other tensors than it holds')
    # Safetensors sorts by name; the coverage keeps the state dict's order.
    return {name: tensors[name] for name in provenance.coverage}, provenance


def _open(path: str | Path) -> tuple[SafetensorsSource, dict[str, str]]:
    """A weights file of ours, and the strings in its header."""
    if not os.path.exists(path):
        raise CacheError(f'no such file: {printable(path)}')
    with telling(CacheError, f'{printable(path)} cannot be read'):
        source = SafetensorsSource(path)
    metadata = source.metadata
    if metadata.get('format') != FORMAT or not {'digest', 'provenance'} <= metadata.keys():
        raise CacheError(
            f'{printable(path)} was not written by torchgeo-geosane: it carries no provenance'
        )
    return source, metadata
