"""ONNX files as tensor sources, read by the package ``onnx``. Nothing in them is run."""

from pathlib import Path

import torch

from torchgeo_geosane.foundry.errors import TokenError
from torchgeo_geosane.foundry.files import PlainFile, open_plain, printable, telling
from torchgeo_geosane.foundry.source import StateDictSource

# Of the format: protocol buffers.
_LARGEST = 2**31


def open_onnx(path: Path) -> StateDictSource:
    """The initialisers of an ONNX graph, in its order and types.

    Raises:
        TokenError: If the file is damaged or not ONNX, keeps its weights elsewhere, or holds what
            torch has no type for; or if the package ``onnx`` is missing.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
        from onnx import numpy_helper
        from onnx.external_data_helper import uses_external_data
    except ModuleNotFoundError as error:
        raise TokenError(
            f'{path} is read by the package onnx: pip install "torchgeo-geosane[offline]"'
        ) from error
    what = f'{printable(path)} is truncated or not a readable ONNX file'
    try:
        with open_plain(path) as file, telling(TokenError, what):
            if PlainFile(path).size > _LARGEST:
                raise TokenError(f'{what}: it is larger than ONNX files can be')
            initialisers = onnx.load_model_from_string(file.read()).graph.initializer
    except DecodeError as error:
        raise TokenError(f'{what}: {error}') from error
    if any(map(uses_external_data, initialisers)):
        raise TokenError(f'{path} keeps its tensors in other files, which is not supported')
    if not initialisers:
        raise TokenError(f'{path} holds no tensors: is it an ONNX file?')
    tensors = {}
    for tensor in initialisers:
        try:
            tensors[tensor.name] = torch.from_numpy(numpy_helper.to_array(tensor).copy())
        # A shape that lies, a type that numpy or torch lacks.
        except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
            raise TokenError(f'{path}: {tensor.name!r} cannot be read: {error}') from error
    return StateDictSource(tensors)
