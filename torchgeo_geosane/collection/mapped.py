"""Weights that can be read a few rows at a time, whatever format they came in.

Safetensors and torch files are read where they lie. Of other formats (ONNX, compressed torch files,
those before torch 1.6) a safetensors copy is kept in the cache.
"""

from pathlib import Path

from torchgeo_geosane.collection.base import CollectionError, open_weights
from torchgeo_geosane.foundry.files import printable, telling
from torchgeo_geosane.foundry.source import TensorSource
from torchgeo_geosane.packages import HASHES
from torchgeo_geosane.prompts.copies import copy_of, in_order, read_known
from torchgeo_geosane.prompts.shards import files_of
from torchgeo_geosane.prompts.weights_file import can_be_mapped


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
        if sha256 not in HASHES and all(map(can_be_mapped, files_of(path))):
            return path
        return copy_of(sha256, lambda: read_known(path, sha256))


def open_mapped(path: Path) -> TensorSource:
    """The tensors of what :func:`map_weights` gave, in the order of the model.

    Raises:
        CollectionError: If the file cannot be read.
    """
    return in_order(open_weights(path))
