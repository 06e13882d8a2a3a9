"""Alignments as bytes, and in the cache: once found, they need neither a trace nor a reference."""

import base64
import dataclasses
import hashlib
import importlib.metadata
import json
import logging
import zlib
from collections.abc import Callable, Iterable

import safetensors.torch
import torch
from safetensors import SafetensorError

from torchgeo_geosane import cache
from torchgeo_geosane.alignment.align import Alignment, similarity_by_chance
from torchgeo_geosane.alignment.groups import Groups
from torchgeo_geosane.atomic import replacing
from torchgeo_geosane.errors import CacheError
from torchgeo_geosane.foundry.source import TensorSource
from torchgeo_geosane.spec import ALIGNMENT

logger = logging.getLogger(__name__)

_FOLDER = 'alignments'
# What finds the groups, so that another version of it may find others.
_VERSIONED = ('timm', 'torch-pruning')


def recall(identity: Iterable[str], find: Callable[[], Alignment]) -> Alignment:
    """An alignment from the cache, or else found and cached.

    Args:
        identity: What determines it: the fingerprints of both networks, and what they are.
        find: Finds it.
    """
    versions = [importlib.metadata.version(package) for package in _VERSIONED]
    text = '\n'.join([str(ALIGNMENT), *versions, *identity])
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    path = cache.directory() / _FOLDER / f'{name}.safetensors'
    with cache.locked(path):
        if path.is_file():
            try:
                return from_bytes(path.read_bytes())
            except (CacheError, OSError) as error:
                logger.warning('%s: %s. Aligning again.', path, error)
        found = find()
        try:
            with replacing(path) as provisional:
                provisional.write_bytes(to_bytes(found))
        except CacheError as error:
            logger.warning('The alignment was not cached: %s', error)
    return found


def recall_chance(identity: Iterable[str], reference: TensorSource, groups: Groups) -> float:
    """What :func:`similarity_by_chance` gives, from the cache, or else found and cached.

    It depends on the reference alone, and takes as long as an alignment.

    Args:
        identity: What determines the reference: its fingerprint, and what it is.
        reference: The network that others are aligned to.
        groups: What may move.
    """

    def find() -> Alignment:
        found = similarity_by_chance(reference, groups)
        return Alignment({}, groups.count, 0, found, found, found)

    return recall(['chance', *identity], find).after


def to_bytes(alignment: Alignment) -> bytes:
    """An alignment as a safetensors file: orders that several dimensions share are kept once."""
    numbers: dict[bytes, int] = {}
    tensors = {}
    axes = []
    for (name, dim), places in alignment.places.items():
        order = places.to(torch.int32)
        number = numbers.setdefault(order.numpy().tobytes(), len(numbers))
        tensors[str(number)] = order
        axes.append([name, dim, number])
    described = dataclasses.asdict(dataclasses.replace(alignment, places={}))
    text = json.dumps({**described, 'places': axes})
    return safetensors.torch.save(tensors, {'alignment': text})


def to_text(alignment: Alignment) -> str:
    """An alignment as a line of text, for a manifest."""
    return base64.b64encode(zlib.compress(to_bytes(alignment), 9)).decode()


def from_text(text: str) -> Alignment:
    """Read what :func:`to_text` gave.

    Raises:
        CacheError: If it is something else.
    """
    try:
        data = zlib.decompress(base64.b64decode(text, validate=True))
    except (ValueError, zlib.error) as error:
        raise CacheError(f'not an alignment: {error}') from error
    return from_bytes(data)


def from_bytes(data: bytes) -> Alignment:
    """Read what :func:`to_bytes` gave.

    Raises:
        CacheError: If it is something else, or an order is none.
    """
    try:
        tensors = safetensors.torch.load(data)
        length = int.from_bytes(data[:8], 'little')
        text = json.loads(data[8 : 8 + length])['__metadata__']['alignment']
        values = json.loads(text)
        places: dict[tuple[str, int], torch.Tensor] = {}
        for name, dim, number in values['places']:
            places[name, dim] = order = tensors[str(number)].long()
            if not torch.equal(order.sort().values, torch.arange(len(order))):
                raise ValueError(f'what is said of {name!r} is not an order')
        return Alignment(**{**values, 'places': places})
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise CacheError(f'not an alignment: {error}') from error
