"""Weights that can be read a few rows at a time, whatever format they came in.

Safetensors and torch files are read where they lie. Other formats (ONNX, compressed torch files) can
only be read whole: of these a safetensors copy is kept in the cache.
"""

import json
from pathlib import Path

import safetensors.torch

from torchgeo_geosane import cache
from torchgeo_geosane.atomic import replacing
from torchgeo_geosane.collection.base import CollectionError, open_weights
from torchgeo_geosane.foundry.files import printable, telling
from torchgeo_geosane.foundry.source import RenamedSource, SafetensorsSource, TensorSource
from torchgeo_geosane.prompts.shards import files_of
from torchgeo_geosane.prompts.weights_file import can_be_mapped

_FOLDER = 'collection'
_ORDER = 'order'


def map_weights(path: Path, sha256: str) -> Path:
    """A file with the same tensors that can be mapped: the file itself, or a copy in the cache.

    Args:
        path: The file of a model.
        sha256: Its hash, which names the copy.

    Raises:
        CollectionError: If the file cannot be read.
        CacheError: If the copy cannot be written; nothing is left of it.
    """
    with telling(CollectionError, f'{printable(path)} cannot be read'):
        if all(map(can_be_mapped, files_of(path))):
            return path
    copy = cache.directory() / _FOLDER / f'{sha256}.safetensors'
    if not copy.exists():
        source = open_weights(path)
        # A file has its own order, and holds no tensor twice.
        tensors = {name: source.read(name).clone().contiguous() for name in source.names()}
        with replacing(copy) as provisional:
            metadata = {_ORDER: json.dumps(list(tensors))}
            safetensors.torch.save_file(tensors, provisional, metadata)
    return copy


def open_mapped(path: Path) -> TensorSource:
    """The tensors of what :func:`map_weights` gave, in the order of the model.

    Raises:
        CollectionError: If the file cannot be read.
    """
    source = open_weights(path)
    if isinstance(source, SafetensorsSource) and _ORDER in source.metadata:
        return RenamedSource(source, {name: name for name in json.loads(source.metadata[_ORDER])})
    return source
