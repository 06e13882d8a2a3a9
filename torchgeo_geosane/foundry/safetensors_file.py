"""The header of a safetensors file: names, types, shapes and places, checked before anything is read.

Eight bytes give the length of a JSON text, which gives each tensor's type, shape and place in what follows
(https://github.com/huggingface/safetensors#format). Tensors must fill the file without gaps or overlaps.
"""

import json
import math
from pathlib import Path
from typing import Any

import torch

from torchgeo_geosane.foundry.errors import TokenError
from torchgeo_geosane.foundry.files import MAX_TEXT, ContentError, PlainFile, printable, telling
from torchgeo_geosane.foundry.stored import FileRegion, StoredTensor, contiguous_strides

_DTYPES = {
    'F64': torch.float64,
    'F32': torch.float32,
    'F16': torch.float16,
    'BF16': torch.bfloat16,
    'F8_E4M3': torch.float8_e4m3fn,
    'F8_E5M2': torch.float8_e5m2,
    'I64': torch.int64,
    'I32': torch.int32,
    'I16': torch.int16,
    'I8': torch.int8,
    'U8': torch.uint8,
    'BOOL': torch.bool,
}
_METADATA = '__metadata__'


def read_header(path: str | Path) -> tuple[dict[str, StoredTensor], dict[str, str]]:
    """What a safetensors file holds: its tensors, sorted by name, and the strings in its header.

    Raises:
        TokenError: If it is missing, truncated or damaged.
    """
    with telling(TokenError, f'{printable(path)} is not a readable safetensors file'):
        file = PlainFile(path)
        header = _header(file)
        data = 8 + int.from_bytes(file.read(0, 8), 'little')
        metadata = header.pop(_METADATA, {})
        if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
            raise ContentError('its metadata are not strings')
        tensors, places = {}, []
        for name in sorted(header):
            try:
                begin, end, tensors[name] = _tensor(header[name], file, data)
            except (TypeError, KeyError, ValueError, ContentError) as error:
                raise ContentError(f'tensor {name!r} is described wrongly: {error}') from error
            places.append((begin, end))
        _check_places(places, file.size - data)
        return tensors, metadata


def looks_like_safetensors(beginning: bytes, size: int) -> bool:
    """Whether a file of ``size`` bytes that begins like this is meant as safetensors."""
    length = int.from_bytes(beginning[:8], 'little')
    return beginning[8:9] == b'{' and 0 < length <= max(0, size - 8)


def _header(file: PlainFile) -> dict[str, Any]:
    length = int.from_bytes(file.read(0, 8), 'little') if file.size >= 8 else 0
    if not 2 <= length <= file.size - 8:
        raise ContentError('it is truncated, or something else')
    if length > MAX_TEXT:
        raise ContentError(f'its header has {length:,} bytes, at most {MAX_TEXT:,} are read')
    header = json.loads(file.read(8, length))
    if not isinstance(header, dict):
        raise ContentError('its header is no object')
    return header


def _check_places(places: list[tuple[int, int]], size: int) -> None:
    reached = 0
    for begin, end in sorted(places):
        if begin != reached:
            raise ContentError('its tensors overlap or leave gaps')
        reached = end
    if reached != size:
        raise ContentError(
            f'its tensors take {reached:,} bytes, of which it has {size:,} (is it truncated?)'
        )


def _tensor(about: Any, file: PlainFile, data: int) -> tuple[int, int, StoredTensor]:
    """Where one tensor begins and ends in the data, and the tensor."""
    shape, (begin, end) = tuple(about['shape']), about['data_offsets']
    if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)):
        raise ValueError('its shape or place is no whole number from 0')
    if not begin <= end <= file.size - data:
        raise ValueError('it lies outside of the file')
    dtype = _DTYPES.get(about['dtype'], str(about['dtype']))
    if isinstance(dtype, torch.dtype) and math.prod(shape) * dtype.itemsize != end - begin:
        raise ValueError(f'shape {list(shape)} does not take {end - begin} bytes')
    region = FileRegion(file, data + begin, end - begin)
    return begin, end, StoredTensor(region, dtype, shape, contiguous_strides(shape))
