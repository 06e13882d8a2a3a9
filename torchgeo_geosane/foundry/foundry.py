"""The foundry: a trained weight-space autoencoder, found by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from torchgeo_geosane.foundry import checkpoint
from torchgeo_geosane.foundry.autoencoder import WeightAutoencoder
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.foundry.errors import FoundryError, TokenError
from torchgeo_geosane.foundry.files import Stamp, printable, stamp_of, telling
from torchgeo_geosane.foundry.hub import find_snapshot, is_hub_name, locate_on_hub, pinned_revision
from torchgeo_geosane.foundry.known import Known, find_known
from torchgeo_geosane.foundry.layout import Layout
from torchgeo_geosane.foundry.places import PlaceCode
from torchgeo_geosane.foundry.sampling import Prior, Sampler

OFFICIAL = 'HSG-AIML/GeoSANE'
UNKNOWN = 'unknown'
EMBEDDED = Path(__file__).parent / 'embedded' / 'foundry.safetensors'


@dataclass(frozen=True)
class Foundry:
    """A weight-space autoencoder with its configuration and its origin.

    Attributes:
        name: ``embedded``, a Hub repository (``owner/name``, optionally ``@revision``), or a path.
        config: Sizes and variants.
        model: The autoencoder, in evaluation mode.
        fingerprint: What identifies its weights: a sha256, or the Hub's commit.
        info: What its file says about itself.
        known: What it knows of single architectures.
    """

    name: str
    config: FoundryConfig
    model: WeightAutoencoder = field(repr=False)
    fingerprint: str
    info: Mapping[str, str] = field(repr=False)
    known: tuple[Known, ...] = field(default=(), repr=False)

    @classmethod
    def load(
        cls,
        name: str = 'embedded',
        device: str | torch.device = 'cpu',
        precision: torch.dtype = torch.float32,
    ) -> 'Foundry':
        """Load a foundry.

        Args:
            name: ``embedded``; a Hub repository such as ``HSG-AIML/GeoSANE`` or
                ``HSG-AIML/GeoSANE@v1``; or the path of a safetensors file of ours or of a file or
                folder in the official layout.
            device: Where to put it.
            precision: Of its matrix products, see :func:`.checkpoint.build`.

        Raises:
            FoundryError: If it cannot be found or fetched, is damaged, or contradicts itself.
        """
        path = locate(name)
        before = _stamps(path, name)
        found = checkpoint.read_checkpoint(path)
        model = checkpoint.build(found, precision).to(device)
        info = {'licence': licence_of(name), **found.info}
        identity = fingerprint(name)
        if _stamps(path, name) != before:  # What is hashed is what was read.
            raise FoundryError(
                f'the foundry {printable(name)} has changed while it was read: run again once it is '
                'written'
            )
        return cls(name, found.config, model, identity, info, found.known)

    def places(self, layout: Layout) -> PlaceCode | None:
        """How the tokens of a layout are coded; None where they are taken as they are."""
        found = find_known(self.known, layout)
        code = found[0].places if found else None
        return code.at(found[1]) if found and code else None

    def bind(self, sampler: Sampler, architecture: str, layout: Layout) -> Sampler:
        """A sampler that can draw: ``Prior`` gets the density of an architecture, others need none.

        Args:
            sampler: The sampler.
            architecture: The architecture, for messages.
            layout: Where its tensors sit in its token sequence.

        Raises:
            FoundryError: If the foundry has no density for it; the message says for which it has.
        """
        if not isinstance(sampler, Prior):
            return sampler
        found = find_known(self.known, layout)
        density = found[0].density if found else None
        if found is None or density is None:
            reason = found[0].record.draws_not if found else 'it was not trained on any'
            raise FoundryError(
                f'the foundry {printable(self.name)} cannot draw {architecture!r} without a prompt: '
                f'{reason}. {_drawable(self.known)}; or take another sampler, which draws around '
                'prompts'
            )
        lacking = (
            layout.segments[_segment_of(layout, found[1])].weight if (found[1] < 0).any() else None
        )
        if lacking is not None:
            raise FoundryError(
                f'the foundry {printable(self.name)} knows {found[0].record.architecture!r} with '
                f'another {lacking!r}: take its own reference as the prompt, and a sensor of as many '
                'bands'
            )
        return sampler.of(density.at(found[1]))


def _drawable(known: Sequence[Known]) -> str:
    names = [repr(each.record.architecture) for each in known if each.record.draws_not is None]
    return f'It draws {", ".join(names)}' if names else 'It draws no architecture so'


def _segment_of(layout: Layout, places: Tensor) -> int:
    """The first segment of which places are missing."""
    token = int((places < 0).nonzero()[0])
    return next(i for i, segment in enumerate(layout.segments) if token < segment.stop)


def locate(name: str) -> Path:
    """The file or folder a foundry's name stands for, fetched from the Hub if it is a repository.

    Raises:
        FoundryError: If there is none.
    """
    if name == 'embedded':
        return EMBEDDED
    if _is_here(name):
        return Path(name).expanduser()
    if is_hub_name(name):
        return locate_on_hub(name)
    raise FoundryError(
        f"unknown foundry {printable(name)}: neither 'embedded', nor an existing path, "
        "nor a Hub repository like 'HSG-AIML/GeoSANE'"
    )


def is_local(name: str) -> bool:
    """Whether a foundry can be loaded without fetching it.

    Raises:
        FoundryError: If it may not be looked at.
    """
    if name == 'embedded' or _is_here(name):
        return True
    return is_hub_name(name) and find_snapshot(name) is not None


def fingerprint(name: str) -> str:
    """What identifies a foundry's weights, without loading them: a sha256, or the Hub's commit.

    Raises:
        FoundryError: If there is no such foundry.
    """
    if name != 'embedded' and not _is_here(name) and is_hub_name(name):
        return pinned_revision(name)
    path = locate(name)
    return _file_fingerprint(path, _stamps(path, name))


def licence_of(name: str) -> str:
    """The licence of a foundry's weights, as far as its file or its name tells; never fetched."""
    try:
        if name != 'embedded' and not _is_here(name):
            return 'apache-2.0' if name.partition('@')[0] == OFFICIAL else UNKNOWN
        path = checkpoint.find_weights(locate(name))
        return _file_licence(path, stamp_of(path))
    except (FoundryError, TokenError):
        return UNKNOWN


def _stamps(path: Path, name: str) -> tuple[Stamp, ...]:
    """What tells the present state of a foundry's files from another."""
    with telling(FoundryError, f'the foundry {printable(name)} cannot be read'):
        return tuple(map(stamp_of, checkpoint.files_of(path)))


@lru_cache(maxsize=32)
def _file_licence(path: Path, _stamp: Stamp) -> str:
    return checkpoint.read_metadata(path).get('licence', UNKNOWN)


@lru_cache(maxsize=32)
def _file_fingerprint(path: Path, _stamps: tuple[Stamp, ...]) -> str:
    return checkpoint.fingerprint(path)


def _is_here(name: str) -> bool:
    """Whether a name is that of something on this disk, readable or not.

    Raises:
        FoundryError: If it cannot be a name, or may not be looked at.
    """
    if not name:
        return False
    with telling(FoundryError, f'the foundry {printable(name)} cannot be read'):
        try:
            Path(name).expanduser().stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
    return True
