"""Files with trained models, as tensor sources. Untrusted files stay data: nothing is run."""

import pickle
from pathlib import Path

import torch
from torch import Tensor

from torchgeo_geosane.collection.base import CollectionError
from torchgeo_geosane.foundry.source import StateDictSource

INSTALL = 'pip install "torchgeo-geosane[collection]"'


def read_onnx(path: Path) -> StateDictSource:
    """The initialisers of an ONNX graph, in its order and types.

    Raises:
        CollectionError: If the file is not ONNX, or the package ``onnx`` is missing.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
        from onnx import numpy_helper
    except ModuleNotFoundError as error:
        raise CollectionError(f'{path.name} is read by the package onnx: {INSTALL}') from error
    try:
        initialisers = onnx.load(str(path)).graph.initializer
    except (DecodeError, OSError) as error:
        raise CollectionError(f'{path} is not a readable ONNX file: {error}') from error
    return StateDictSource(
        {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in initialisers}
    )


def read_state_dict(path: Path) -> StateDictSource:
    """A state dict that ``torch.save`` wrote, memory-mapped.

    Raises:
        CollectionError: If it is damaged, or holds anything but tensors.
    """
    try:
        content = torch.load(path, map_location='cpu', mmap=True, weights_only=True)
    except pickle.UnpicklingError as error:
        raise CollectionError(
            f'{path} holds more than tensors and was not opened, because unpickling it could run '
            f'code: {str(error).splitlines()[0]}'
        ) from error
    except (RuntimeError, OSError, EOFError, ValueError) as error:
        raise CollectionError(f'{path} is truncated or not a torch file: {error}') from error
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise CollectionError(f'{path} is not a state dict: it holds other things than tensors')
    return StateDictSource(content)
