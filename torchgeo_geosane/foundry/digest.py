"""A hash of tensors, stored beside them so that damage is noticed."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor


def digest(tensors: Mapping[str, Tensor], text: str = '') -> str:
    """sha256 over a text and the names, types, shapes and bytes of all tensors, sorted by name."""
    sha = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().contiguous()
        sha.update(f'{name} {tensor.dtype} {tuple(tensor.shape)};'.encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()
