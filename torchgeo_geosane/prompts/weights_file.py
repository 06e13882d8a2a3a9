"""Any file with weights in it as a tensor source; the suffix says which format it is."""

from pathlib import Path

from torchgeo_geosane.foundry.errors import TokenError
from torchgeo_geosane.foundry.pickles import find_tensors, read_pickle
from torchgeo_geosane.foundry.source import SafetensorsSource, StateDictSource, TensorSource
from torchgeo_geosane.prompts.onnx_file import open_onnx


def open_file(path: Path) -> TensorSource:
    """Open safetensors, ONNX, or (any other suffix) what ``torch.save`` wrote, lazily.

    Raises:
        TokenError: If the file is missing, empty or damaged, or holds what only running code could
            restore.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise TokenError(f'{str(path)!r} cannot be read: {error}') from error
    if not size:
        raise TokenError(f'{str(path)!r} is empty')
    match path.suffix:
        case '.safetensors':
            return SafetensorsSource(path)
        case '.onnx':
            return open_onnx(path)
        case _:
            return StateDictSource(find_tensors(read_pickle(path)))
