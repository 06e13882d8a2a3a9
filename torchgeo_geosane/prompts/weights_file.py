"""Any file with weights in it as a tensor source; its name says which format it is."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from torchgeo_geosane.foundry.errors import TokenError
from torchgeo_geosane.foundry.pickles import find_tensors, read_pickle
from torchgeo_geosane.foundry.source import SafetensorsSource, StateDictSource, TensorSource
from torchgeo_geosane.prompts.onnx_file import open_onnx
from torchgeo_geosane.prompts.shards import ShardedSource, is_index, read_index


def open_file(path: Path) -> TensorSource:
    """Open safetensors, ONNX, the index of several files, or else what ``torch.save`` wrote, lazily.

    Raises:
        TokenError: If the file is missing, empty or damaged, or holds what only running code could
            restore, or a tensor that cannot be read by rows.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise TokenError(f'{str(path)!r} cannot be read: {error}') from error
    if not size:
        raise TokenError(f'{str(path)!r} is empty')
    if is_index(path.name):
        return _open_shards(path)
    match path.suffix:
        case '.safetensors':
            return SafetensorsSource(path)
        case '.onnx':
            return open_onnx(path)
        case _:
            return StateDictSource(_dense(find_tensors(read_pickle(path)), path))


def _dense(tensors: Mapping[str, Tensor], path: Path) -> Mapping[str, Tensor]:
    """The tensors, of which none is sparse, and none a shape without values."""
    for name, tensor in tensors.items():
        where = f'tensor {name!r} in {str(path)!r}'
        if tensor.layout is not torch.strided:
            kind = str(tensor.layout).removeprefix('torch.')
            raise TokenError(f'{where} is stored as {kind}: save it as a dense tensor')
        if tensor.is_meta:
            raise TokenError(f'{where} has no values, only a shape: save the weights themselves')
    return tensors


def _open_shards(path: Path) -> ShardedSource:
    """The tensors that an index names, each in its file."""
    places = read_index(path)
    files = {name: open_file(path.with_name(name)) for name in sorted(set(places.values()))}
    held = {name: frozenset(source.names()) for name, source in files.items()}
    for tensor, file in places.items():
        if tensor not in held[file]:
            raise TokenError(f'{str(path)!r} names tensor {tensor!r}, which {file!r} does not hold')
    return ShardedSource({tensor: files[file] for tensor, file in places.items()})
