"""Writing generated weights in the forms other tools read."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from torchgeo_geosane.atomic import replacing
from torchgeo_geosane.candidate import Generated
from torchgeo_geosane.errors import CacheError
from torchgeo_geosane.provenance import Provenance, read_provenance, write_weights

FORMATS = ('.safetensors', '.ckpt')
_PROVENANCE = 'torchgeo_geosane_provenance'


def export(generated: Generated, path: str | Path) -> None:
    """Write generated weights; the suffix chooses the form.

    Args:
        generated: The weights.
        path: ``*.safetensors`` (with provenance in the header), or ``*.ckpt``, a checkpoint that
            the ``weights`` argument of
            TorchGeo's tasks accepts as a path.

    Raises:
        CacheError: If the suffix is unknown or the file cannot be written; nothing is left behind.
    """
    path = Path(path)
    check_format(path)
    if path.suffix == '.ckpt':
        _write_checkpoint(path, generated.tensors, generated.provenance)
    else:
        write_weights(path, generated.tensors, generated.provenance)


def check_format(path: Path) -> None:
    """Make sure that a file of this name can be written.

    Raises:
        CacheError: If its suffix is unknown.
    """
    if path.suffix not in FORMATS:
        raise CacheError(
            f'cannot write {path.name!r}: the suffix must be one of {", ".join(FORMATS)}'
        )


def provenance_of(path: str | Path) -> Provenance:
    """The provenance inside a file that ``export`` wrote.

    Raises:
        CacheError: If the file is damaged or not ours.
    """
    path = Path(path)
    if path.suffix != '.ckpt':
        return read_provenance(path)
    if not path.is_file():
        raise CacheError(f'no such file: {path}')
    try:
        content = torch.load(path, map_location='cpu', mmap=True, weights_only=True)
    except Exception as error:  # torch.load raises many kinds for files that are something else.
        raise CacheError(f'{path} is not a readable checkpoint: {error}') from error
    if not isinstance(content, dict) or _PROVENANCE not in content:
        raise CacheError(f'{path} was not written by torchgeo-geosane: it carries no provenance')
    return Provenance.from_json(content[_PROVENANCE])


def _write_checkpoint(path: Path, tensors: Mapping[str, Tensor], provenance: Provenance) -> None:
    """What TorchGeo's ``extract_backbone`` reads: a Lightning checkpoint with a ``model``."""
    content = {
        'hyper_parameters': {'model': provenance.architecture},
        'state_dict': {f'model.{name}': tensor for name, tensor in tensors.items()},
        _PROVENANCE: provenance.to_json(),
    }
    with replacing(path) as provisional:
        torch.save(content, provisional)
