"""Writing safetensors so that the same content gives the same bytes, and in one go.

The package ``safetensors`` writes the strings of a header in an order that varies from run to run.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

# In the order in which the package writes them.
_NAMES = {
    torch.int64: 'I64',
    torch.float64: 'F64',
    torch.float32: 'F32',
    torch.int32: 'I32',
    torch.bfloat16: 'BF16',
    torch.float16: 'F16',
    torch.int16: 'I16',
    torch.int8: 'I8',
    torch.uint8: 'U8',
    torch.bool: 'BOOL',
}


def write_safetensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    """Write a safetensors file.

    Args:
        path: The file.
        tensors: Any that weights come in, on the CPU; written by type and name, as the package
            ``safetensors`` does it.
        metadata: Strings for the header.

    Raises:
        OSError: If the disk refuses.
    """
    header: dict[str, object] = {'__metadata__': dict(sorted(metadata.items()))}
    begin = 0
    types = list(_NAMES)
    order = sorted(tensors, key=lambda name: (types.index(tensors[name].dtype), name))
    for name in order:
        tensor = tensors[name]
        end = begin + math.prod(tensor.shape) * tensor.dtype.itemsize
        header[name] = {
            'dtype': _NAMES[tensor.dtype],
            'shape': list(tensor.shape),
            'data_offsets': [begin, end],
        }
        begin = end
    text = json.dumps(header, separators=(',', ':'), ensure_ascii=False).encode()
    text += b' ' * (-len(text) % 8)  # Tensors begin at a multiple of eight.
    with path.open('wb') as file:
        file.write(len(text).to_bytes(8, 'little') + text)
        for name in order:
            flat = tensors[name].detach().contiguous().reshape(-1)
            file.write(flat.view(torch.uint8).numpy().data)
