"""Models in several files: which they are, and one hash of them.

As the Hugging Face Hub has them an index says what is in which: ``model.safetensors.index.json`` or
``pytorch_model.bin.index.json`` lies beside the files it names. A network of ncnn is two files.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from torchgeo_geosane.foundry.errors import TokenError
from torchgeo_geosane.foundry.files import PlainFile, open_plain, printable, read_json, telling
from torchgeo_geosane.foundry.source import TensorSource
from torchgeo_geosane.prompts.ncnn_file import MAGIC, values_of

_INDEX = re.compile(r'\.(safetensors|bin)\.index\.json$')
# Of characters that any disk knows, and never another index: that could name itself.
_PART = re.compile(r'[^\x00-\x1f\ud800-\udfff]+\.(safetensors|bin)')


_BLANK = b'\xef\xbb\xbf \t\r\n'


class ShardedSource:
    """Tensors that lie in several sources."""

    def __init__(self, sources: Mapping[str, TensorSource]) -> None:
        """View every name in the source it is mapped to."""
        self._sources = sources

    def names(self) -> list[str]:
        """The tensors' names, in the index's order."""
        return list(self._sources)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of one tensor."""
        return self._sources[name].shape(name)

    def dtype(self, name: str) -> torch.dtype:
        """The element type of one tensor."""
        return self._sources[name].dtype(name)

    def read(self, name: str) -> Tensor:
        """One whole tensor."""
        return self._sources[name].read(name)

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Rows of one tensor as a matrix."""
        return self._sources[name].rows(name, start, stop)


def is_index(name: str) -> bool:
    """Whether a name is that of an index; what a file that is here is, its content says."""
    return _INDEX.search(name) is not None


def is_json(beginning: bytes) -> bool:
    """Whether a file that begins so is JSON, of which an index is the only kind here."""
    return beginning.lstrip(_BLANK).startswith((b'{', b'['))


def read_index(path: Path) -> dict[str, str]:
    """The name of the file beside the index in which each tensor lies.

    Raises:
        TokenError: If the file is no such index, or what it names lies elsewhere or is no file with
            weights.
    """
    where = printable(path)
    try:
        content = read_json(path)
    except TokenError as error:
        raise TokenError(f'{where} is not an index of weights files: {error}') from error
    places = content.get('weight_map') if isinstance(content, dict) else None
    if not isinstance(places, dict) or not all(isinstance(file, str) for file in places.values()):
        raise TokenError(f"{where} is not an index of weights files: it has no 'weight_map'")
    for file in places.values():
        if PurePosixPath(file).name != file or '\\' in file:
            raise TokenError(f'{where} names a file that does not lie beside it: {file!r}')
        if not _PART.fullmatch(file):
            raise TokenError(f'{where} names what is no file with weights: {file!r}')
    return places


def files_of(path: Path) -> list[Path]:
    """The files of a model: one, an index and what it names, or layers and values of ncnn.

    Raises:
        TokenError: As :func:`read_index`.
    """
    beginning = PlainFile(path).read(0, 64)
    if beginning.startswith(MAGIC):
        return [path, values_of(path)]
    names = set(read_index(path).values()) if is_json(beginning) else ()
    return [path, *(path.with_name(name) for name in sorted(names))]


def hash_files(path: Path) -> str:
    """sha256 of a model's files, one after the other, in hexadecimal.

    Raises:
        TokenError: As :func:`read_index`, or if a file cannot be read.
    """
    digest = hashlib.sha256()
    for file in files_of(path):
        with open_plain(file) as stream, telling(TokenError, printable(file)):
            while chunk := stream.read(2**20):
                digest.update(chunk)
    return digest.hexdigest()
