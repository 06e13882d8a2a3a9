"""Copies in the cache of weights whose own format cannot be read a few rows at a time."""

import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from torchgeo_geosane.atomic import replacing
from torchgeo_geosane.errors import CacheError, TokenError
from torchgeo_geosane.foundry.digest import digest
from torchgeo_geosane.foundry.safetensors_writer import write_safetensors
from torchgeo_geosane.foundry.source import (
    RenamedSource,
    SafetensorsSource,
    StateDictSource,
    TensorSource,
)
from torchgeo_geosane.packages import HASHES
from torchgeo_geosane.places import directory
from torchgeo_geosane.prompts.weights_file import open_file

_FOLDER = 'collection'
_ORDER = 'order'
_DIGEST = 'digest'


def copy_of(sha256: str, read: Callable[[], TensorSource]) -> Path:
    """A safetensors copy of a file, made if it is not there or damaged.

    Args:
        sha256: Hash of the file, which names the copy.
        read: Reads the file.

    Raises:
        CacheError: If the copy cannot be written; nothing is left of it.
    """
    copy = directory() / _FOLDER / f'{sha256}.safetensors'
    if not _is_whole(copy):
        source = read()
        # A file has its own order, and holds no tensor twice.
        tensors = {name: source.read(name) for name in source.names()}
        metadata = {_ORDER: json.dumps(list(tensors)), _DIGEST: digest(tensors)}
        with replacing(copy) as provisional:
            write_safetensors(provisional, tensors, metadata)
    return copy


def _is_whole(copy: Path) -> bool:
    """Whether there is a copy that holds what was written into it."""
    try:
        source = SafetensorsSource(copy)
        found = digest(_Lazy(source))
    except TokenError:  # There is none, or a damaged one.
        return False
    return source.metadata.get(_DIGEST) == found


class _Lazy(Mapping[str, Tensor]):
    """A source's tensors, each read when it is asked for: none stays in memory."""

    def __init__(self, source: TensorSource) -> None:
        self._source = source

    def __getitem__(self, name: str) -> Tensor:
        return self._source.read(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._source.names())

    def __len__(self) -> int:
        return len(self._source.names())


def in_order(source: TensorSource) -> TensorSource:
    """The tensors of a copy in the order of the file that it was made of."""
    if isinstance(source, SafetensorsSource) and _ORDER in source.metadata:
        return RenamedSource(source, {name: name for name in json.loads(source.metadata[_ORDER])})
    return source


def open_packaged(path: Path, sha256: str) -> TensorSource:
    """A packaged network, mapped where its format allows, else from a copy in the cache.

    Raises:
        TokenError: If the file cannot be read.
    """
    try:
        return in_order(SafetensorsSource(copy_of(sha256, lambda: read_known(path, sha256))))
    except CacheError:  # No room for a copy: it is held in memory.
        return read_known(path, sha256)


def read_known(path: Path, sha256: str) -> TensorSource:
    """A file whose hash the table of packages has; TorchScript, which runs code, is read there alone.

    Raises:
        TokenError: If the file cannot be read.
    """
    if sha256 in HASHES and _is_torchscript(path):
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', FutureWarning)  # It is to go; these files stay.
            module = torch.jit.load(str(path), map_location='cpu')  # type: ignore[no-untyped-call]
        return StateDictSource(module.state_dict())
    return open_file(path)


def _is_torchscript(path: Path) -> bool:
    with path.open('rb') as file:
        return file.read(4) == b'PK\x03\x04' and b'constants.pkl' in path.read_bytes()[-100_000:]
