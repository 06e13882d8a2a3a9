"""Files that ``torch.save`` wrote, read as data: no pickle runs code, no tensor is copied."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from torchgeo_geosane.foundry.errors import TokenError

# Where trainers put the state dict inside a checkpoint.
_CONTAINERS = ('state_dict', 'model', 'model_state_dict')


def read_pickle(path: Path) -> object:
    """What is in the file, its tensors memory-mapped (of the format before torch 1.6: read).

    Raises:
        TokenError: If the file is damaged, or holds what only running code could restore.
    """
    try:
        # Only zip archives, the format since torch 1.6, can be mapped.
        mmap = zipfile.is_zipfile(path)
        return torch.load(path, map_location='cpu', weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        raise TokenError(
            f'{str(path)!r} is truncated, or holds more than tensors and was not opened, because '
            'code in a file is never run: save its state dict alone, best as safetensors'
        ) from error
    except Exception as error:  # A damaged file can raise anything.
        raise TokenError(
            f'{str(path)!r} is truncated or not a readable torch file: {error}'
        ) from error


def find_tensors(content: object) -> dict[str, Tensor]:
    """The tensors of a checkpoint, its containers unwrapped; empty where there are none."""
    seen: set[int] = set()
    # A pickle can hold a container that is inside itself.
    while isinstance(content, Mapping) and id(content) not in seen:
        seen.add(id(content))
        inner = [content[key] for key in _CONTAINERS if isinstance(content.get(key), Mapping)]
        if not inner:
            return {
                str(name): value for name, value in content.items() if isinstance(value, Tensor)
            }
        content = inner[0]
    return {}
