"""Reading and writing a foundry's weights: our safetensors, and the official layout.

The official layout is a folder with ``params.json`` (one flat object, keys such as
``"ae:d_model"``) and, somewhere below it, ``state.pt`` (``{"model": …, "optimizer": …}``) or a
safetensors file. Untrusted files stay data: of a pickle only the places of its tensors are read, so
that an optimizer state of many gigabytes never enters memory.
"""

import hashlib
import json
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from torchgeo_geosane.foundry.autoencoder import SinusoidalPositions, WeightAutoencoder
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.foundry.errors import FoundryError, TokenError
from torchgeo_geosane.foundry.files import (
    PlainFile,
    open_plain,
    printable,
    read_json,
    telling,
)
from torchgeo_geosane.foundry.infer import config_from_params, infer_sizes, params_from_config
from torchgeo_geosane.foundry.known import HEADER, Known, from_file, is_known, to_file
from torchgeo_geosane.foundry.pickles import read_pickle
from torchgeo_geosane.foundry.safetensors_file import looks_like_safetensors, read_header
from torchgeo_geosane.foundry.safetensors_writer import write_safetensors
from torchgeo_geosane.foundry.source import StoredSource, all_finite
from torchgeo_geosane.foundry.stored import StoredTensor, Unreadable
from torchgeo_geosane.foundry.surroundings import isolated

FORMAT = 'torchgeo-geosane foundry 1'
_FLOATING = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
_COMPILED_PREFIX = '_orig_mod.'
# A buffer that can be computed, and that some official checkpoints leave out.
_DIV_TERM = 'pe.div_term'


@dataclass(frozen=True)
class Checkpoint:
    """A foundry as it lies on disk.

    Attributes:
        config: Sizes and variants.
        tensors: The autoencoder's state dict, not read yet.
        info: What else the file says about itself (licence, training, reconstruction errors).
        known: What it knows of single architectures, its tensors not read yet.
    """

    config: FoundryConfig
    tensors: Mapping[str, StoredTensor]
    info: Mapping[str, str]
    known: tuple[Known, ...] = ()


def find_weights(path: Path) -> Path:
    """The file that holds the weights: ``path``, or the newest checkpoint below that folder.

    Raises:
        FoundryError: If there is none.
    """
    where = printable(path)
    with telling(FoundryError, f'no foundry at {where}'):
        mode = path.stat().st_mode
        if not stat.S_ISDIR(mode):
            PlainFile(path)
            return path
        found: list[Path] = []
        for pattern in ('model.safetensors', 'state.pt', '*.safetensors'):
            found = found or sorted(file for file in path.rglob(pattern) if file.is_file())
    if not found:
        raise FoundryError(
            f"no foundry in the folder {where}: expected 'state.pt' or a '.safetensors' file "
            "below it, beside 'params.json'"
        )
    return found[-1]


def files_of(path: Path) -> list[Path]:
    """The files of a foundry: its weights, and its parameters where there are any.

    Raises:
        FoundryError: As :func:`find_weights`.
    """
    weights = find_weights(path)
    params = _params_file(path if path.is_dir() else path.parent, weights)
    return [weights, *([params] if params else [])]


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a foundry.

    Args:
        path: Our safetensors file, or a file or folder in the official layout.

    Raises:
        FoundryError: If the file is damaged, holds more than tensors, or contradicts its
            parameters.
    """
    path = Path(path)
    weights = find_weights(path)
    with telling(FoundryError, f'the foundry {printable(path)} cannot be read'):
        file = PlainFile(weights)
        safe = looks_like_safetensors(file.read(0, 9), file.size)
        safe = safe or weights.suffix == '.safetensors'  # A damaged one.
        tensors, metadata = read_header(weights) if safe else (_read_pickle(weights), {})
        tensors = {name.removeprefix(_COMPILED_PREFIX): t for name, t in tensors.items()}
        if metadata.get('format') == FORMAT:
            config = FoundryConfig.from_json(metadata.get('config', ''))
            info = {k: v for k, v in metadata.items() if k not in {'format', 'config', HEADER}}
            known = from_file(StoredSource(tensors), metadata.get(HEADER), config)
            tensors = {name: t for name, t in tensors.items() if not is_known(name)}
            infer_sizes(tensors).check(config, source=weights)
            return Checkpoint(config, tensors, info, known)
        params = _read_params(path if path.is_dir() else path.parent, weights)
        sizes = infer_sizes(tensors)
        return Checkpoint(config_from_params(params, sizes, source=weights), tensors, {})


def read_metadata(path: Path) -> Mapping[str, str]:
    """What a safetensors file says about itself, without its tensors; nothing where it is none."""
    try:
        return read_header(path)[1]
    except TokenError:
        return {}


@isolated
def build(checkpoint: Checkpoint, precision: torch.dtype = torch.float32) -> WeightAutoencoder:
    """The autoencoder of a checkpoint, in evaluation mode.

    Args:
        checkpoint: What was read.
        precision: Type of its linear maps, and so of its matrix products; all else is float32. For
            inference alone: training casts products with ``torch.autocast``.

    Raises:
        FoundryError: If a tensor is missing, unknown, not finite, or of the wrong shape or type (it
            is named), or if all of them do not fit into memory (nothing is allocated).
    """
    with torch.device('meta'):
        model = WeightAutoencoder(checkpoint.config)
    wanted = model.state_dict()
    _check_tensors(wanted, checkpoint.tensors)
    types = dict.fromkeys(wanted, torch.float32) | dict.fromkeys(model.linear_maps(), precision)
    _check_memory(sum(types[name].itemsize * tensor.numel() for name, tensor in wanted.items()))
    with telling(FoundryError, 'the foundry cannot be read'):
        state = {n: _read_finite(n, t).to(types[n]) for n, t in checkpoint.tensors.items()}
    if _DIV_TERM in wanted and _DIV_TERM not in state:
        state[_DIV_TERM] = SinusoidalPositions(checkpoint.config).div_term
    model.load_state_dict(state, assign=True)
    return model.eval().requires_grad_(False)


def save(
    path: str | Path,
    model: WeightAutoencoder,
    info: Mapping[str, str],
    dtype: torch.dtype = torch.float32,
    known: Sequence[Known] = (),
) -> None:
    """Write a foundry as our safetensors file.

    Args:
        path: The file.
        model: The autoencoder.
        info: Strings stored beside the configuration (licence, training, errors).
        dtype: Element type of the autoencoder's stored weights.
        known: What it knows of single architectures.
    """
    # The positions' frequencies are multiplied by indices of many thousands: rounded to float16
    # they would embed other positions than those trained on.
    tensors = {
        name: t.detach().to('cpu', t.dtype if name == 'pe.div_term' else dtype).contiguous()
        for name, t in model.state_dict().items()
    }
    more, header = to_file(known)
    metadata = {**info, **header, 'format': FORMAT, 'config': model.config.to_json()}
    write_safetensors(Path(path), {**tensors, **more}, metadata)


def save_official(folder: str | Path, model: WeightAutoencoder) -> None:
    """Write a foundry in the official layout: ``params.json`` and ``checkpoint_000000/state.pt``.

    Raises:
        FoundryError: If the official layout has no word for how this foundry cuts tokens.
    """
    config = model.config
    if (config.tokenisation, config.row_scale, config.place_code) != ('dense', 'none', False):
        raise FoundryError(
            'the official layout knows only dense, unscaled tokens without a place code; this '
            f'foundry has tokenisation {config.tokenisation!r}, row_scale {config.row_scale!r}, '
            f'place_code {config.place_code}'
        )
    folder = Path(folder)
    (folder / 'checkpoint_000000').mkdir(parents=True, exist_ok=True)
    (folder / 'params.json').write_text(json.dumps(params_from_config(model.config), indent=1))
    torch.save({'model': model.state_dict()}, folder / 'checkpoint_000000' / 'state.pt')


def fingerprint(path: str | Path) -> str:
    """sha256 of the weights and parameters of the foundry at ``path``, in hexadecimal.

    Raises:
        FoundryError: If it cannot be read.
    """
    path = Path(path)
    digest = hashlib.sha256()
    with telling(FoundryError, f'the foundry {printable(path)} cannot be read'):
        for file in files_of(path):
            with open_plain(file) as stream:
                while block := stream.read(1 << 22):
                    digest.update(block)
    return digest.hexdigest()


def _read_finite(name: str, stored: StoredTensor) -> Tensor:
    tensor = stored.read(name).to(torch.float32)
    if not all_finite(tensor):
        raise FoundryError(f'the foundry is damaged: {name!r} holds NaN or infinite values')
    return tensor


def _read_pickle(path: Path) -> dict[str, StoredTensor]:
    content = read_pickle(path)
    model = content.get('model') if isinstance(content, dict) else None
    if not isinstance(model, dict) or not model:
        held = sorted(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise FoundryError(
            f"{path} has no 'model' entry with the foundry's weights; it holds {held}"
        )
    for name, value in model.items():
        if isinstance(value, Unreadable):
            raise FoundryError(f'{path}: {name!r} is {value.why}')
        if not isinstance(value, StoredTensor):
            raise FoundryError(f'{path}: {name!r} is not a tensor')
    return {str(name): value for name, value in model.items()}


def _params_file(folder: Path, weights: Path) -> Path | None:
    for parent in (folder, *weights.parents[:2]):
        if (parent / 'params.json').is_file():
            return parent / 'params.json'
    return None


def _read_params(folder: Path, weights: Path) -> dict[str, Any]:
    file = _params_file(folder, weights)
    if file is None:
        raise FoundryError(
            f"no 'params.json' beside {weights}: the number of attention heads is not in the "
            'weights, so it must be given there as "ae:nhead"'
        )
    params = read_json(file)
    if not isinstance(params, dict):
        raise FoundryError(f'{file} is not a readable JSON object: it is something else')
    return params


def _check_tensors(wanted: Mapping[str, Tensor], found: Mapping[str, StoredTensor]) -> None:
    for name, tensor in found.items():
        if name not in wanted:
            raise FoundryError(f'the checkpoint holds an unknown tensor {name!r} {tensor.shape}')
        shape = tuple(wanted[name].shape)
        if tensor.shape != shape:
            raise FoundryError(
                f'{name!r} has shape {tensor.shape}, the configuration asks for {shape}'
            )
        if tensor.nbytes > tensor.storage.nbytes:
            raise FoundryError(f'{name!r} {shape} has fewer numbers than its shape says')
        if tensor.dtype not in _FLOATING:
            raise FoundryError(
                f'{name!r} holds {tensor.dtype}, a foundry has weights in floating point of 16 bits '
                'or more'
            )
    for name in wanted:
        if name not in found and name != _DIV_TERM:
            raise FoundryError(f'the checkpoint lacks the tensor {name!r}')


def _check_memory(needed: int) -> None:
    try:
        memory = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    except (AttributeError, ValueError, OSError):
        return  # A system that does not tell.
    if needed > memory:
        raise FoundryError(
            f'the foundry needs {needed / 1e9:.1f} GB, '
            f'this machine has {memory / 1e9:.1f} GB of memory'
        )
