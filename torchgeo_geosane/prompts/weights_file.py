"""Any file with weights in it as tensor sources; its first bytes, never its name, say which format it is."""

from collections.abc import Mapping
from enum import Enum
from pathlib import Path

from torchgeo_geosane.foundry.errors import TokenError
from torchgeo_geosane.foundry.files import PlainFile, printable
from torchgeo_geosane.foundry.pickles import is_archive, is_mapped, read_pickle
from torchgeo_geosane.foundry.safetensors_file import looks_like_safetensors
from torchgeo_geosane.foundry.source import SafetensorsSource, StoredSource, TensorSource
from torchgeo_geosane.prompts.containers import find_networks, main_network
from torchgeo_geosane.prompts.ncnn_file import MAGIC, open_ncnn
from torchgeo_geosane.prompts.onnx_file import open_onnx
from torchgeo_geosane.prompts.shards import ShardedSource, is_json, read_index
from torchgeo_geosane.prompts.tflite_file import is_tflite, open_tflite


class Format(Enum):
    """How weights are stored."""

    SAFETENSORS = 'safetensors'
    TORCH = 'torch'
    INDEX = 'index'
    ONNX = 'onnx'
    NCNN = 'ncnn'
    TFLITE = 'tflite'


# What is taken for weights by mistake, and what it is.
_OTHERS = {
    b'version https://git-lfs': 'a pointer of Git LFS: fetch the file itself (git lfs pull)',
    b'<!DOCTYPE': 'a web page: what was downloaded is not the file',
    b'<!doctype': 'a web page: what was downloaded is not the file',
    b'<html': 'a web page: what was downloaded is not the file',
    b'<?xml': 'XML: what was downloaded is not the file',
    b'\x89HDF': 'HDF5 (Keras), which is not read: save the weights as safetensors',
    b'GGUF': 'GGUF, whose weights are quantised: take them in floating point',
    b'\x1f\x8b': 'compressed (gzip): unpack it',
    b'BZh': 'compressed (bzip2): unpack it',
    b'\xfd7zXZ': 'compressed (xz): unpack it',
    b'\x28\xb5\x2f\xfd': 'compressed (zstd): unpack it',
    b'7z\xbc\xaf': 'an archive (7z): unpack it',
    b'Rar!': 'an archive (rar): unpack it',
    b'\x93NUMPY': 'a NumPy array: save the weights as safetensors',
}


def format_of(path: Path) -> Format:
    """Which format a file has, by its content; links are followed.

    Raises:
        TokenError: If it cannot be read, is empty, or is known to be something else.
    """
    file = PlainFile(path)
    beginning = file.read(0, 64)
    if not beginning:
        raise TokenError(f'{printable(path)} is empty')
    for start, what in _OTHERS.items():
        if beginning.lstrip().startswith(start) or beginning.startswith(start):
            raise TokenError(f'{printable(path)} is {what}')
    if is_tflite(beginning):
        return Format.TFLITE
    if looks_like_safetensors(beginning, file.size):
        return Format.SAFETENSORS
    # The second is a pickle's; a tar archive has this at byte 257.
    if is_archive(beginning) or beginning[0] == 0x80:
        return Format.TORCH
    if is_json(beginning):
        return Format.INDEX
    if beginning.startswith(MAGIC):
        return Format.NCNN
    # What a model in ONNX begins with: its version, mostly; else its producer, domain or graph.
    if beginning[:1] in (b'\x08', b'\x12', b'\x1a', b'\x3a'):
        return Format.ONNX
    if file.read(257, 5) == b'ustar':
        raise TokenError(f'{printable(path)} is a tar archive: unpack it')
    raise TokenError(
        f'{printable(path)} is truncated or not a readable file of weights: neither safetensors, '
        'nor written by torch.save, nor ONNX, nor TensorFlow Lite, nor the layers (.param) of ncnn'
    )


def open_file(path: Path) -> TensorSource:
    """The weights in a file of any format, lazily; of several networks in it the main one.

    Raises:
        TokenError: If the file is missing, empty or damaged, or holds what only running code could
            restore.
    """
    networks = open_networks(path)
    if not networks:
        return StoredSource({})
    return networks[main_network({keys: len(one.names()) for keys, one in networks.items()})]


def open_networks(path: Path) -> Mapping[str, TensorSource]:
    """Every network in a file, by the keys under which it lies (``teacher``; '' for the file itself).

    Raises:
        TokenError: As :func:`open_file`.
    """
    match format_of(path):
        case Format.SAFETENSORS:
            return {'': SafetensorsSource(path)}
        case Format.ONNX:
            return {'': open_onnx(path)}
        case Format.NCNN:
            return {'': open_ncnn(path)}
        case Format.TFLITE:
            return {'': open_tflite(path)}
        case Format.INDEX:
            return {'': _open_shards(path)}
        case Format.TORCH:
            found = find_networks(read_pickle(path))
            return {keys: StoredSource(tensors) for keys, tensors in found.items()}


def can_be_mapped(path: Path) -> bool:
    """Whether the tensors of a file can be read a few rows at a time.

    Raises:
        TokenError: As :func:`format_of`.
    """
    form = format_of(path)
    return form in (Format.SAFETENSORS, Format.INDEX) or (form is Format.TORCH and is_mapped(path))


def _open_shards(path: Path) -> ShardedSource:
    """The tensors that an index names, each in its file."""
    places = read_index(path)
    files: dict[str, TensorSource] = {}
    for name in sorted(set(places.values())):
        part = path.with_name(name)
        if format_of(part) is Format.INDEX:
            raise TokenError(f'{printable(path)} names another index: {name!r}')
        files[name] = open_file(part)
    held = {name: frozenset(source.names()) for name, source in files.items()}
    for tensor, file in places.items():
        if tensor not in held[file]:
            raise TokenError(
                f'{printable(path)} names tensor {tensor!r}, which {file!r} does not hold'
            )
    return ShardedSource({tensor: files[file] for tensor, file in places.items()})
