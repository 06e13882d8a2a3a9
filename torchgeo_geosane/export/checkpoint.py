"""Checkpoints for the ``weights`` argument of TorchGeo's tasks.

TorchGeo finds a backbone in a Lightning checkpoint by its hyper-parameters and a prefix. Its
segmentation tasks then load it strictly: every name must be the encoder's own.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from torchgeo_geosane.architectures import (
    TensorSpec,
    flat_name,
    get_architecture,
    shapes_of,
)
from torchgeo_geosane.atomic import replacing
from torchgeo_geosane.candidate import Generated
from torchgeo_geosane.errors import ArchitectureError, CacheError, TokenError
from torchgeo_geosane.foundry.pickles import read_pickle
from torchgeo_geosane.provenance import Provenance
from torchgeo_geosane.spec import Spec

_PROVENANCE = 'torchgeo_geosane_provenance'


def write_checkpoint(path: Path, generated: Generated) -> tuple[str, ...]:
    """Write what tasks take that use timm's own names, and smp's ``resnet`` and ``timm-`` encoders.

    Raises:
        CacheError: If the file cannot be written; nothing is left behind.
    """
    _write(
        path,
        {'model': generated.provenance.architecture},
        {f'model.{name}': tensor for name, tensor in generated.tensors.items()},
        generated.provenance,
    )
    return ()


def write_encoder_checkpoint(path: Path, generated: Generated) -> tuple[str, ...]:
    """Write what segmentation tasks take for ``tu-`` encoders: smp's names, nothing missing or extra.

    Returns:
        The tensors that the encoder does not use, such as a last norm.

    Raises:
        ArchitectureError: If the architecture cannot be such an encoder.
        CacheError: If the file cannot be written; nothing is left behind.
    """
    provenance = generated.provenance
    names = encoder_names(provenance.architecture, len(provenance.stem.bands))
    kept = set(names.values())
    _write(
        path,
        {'backbone': f'tu-{provenance.architecture}'},
        {f'model.backbone.model.{name}': generated.tensors[ours] for name, ours in names.items()},
        replace(provenance, coverage={n: c for n, c in provenance.coverage.items() if n in kept}),
    )
    return tuple(name for name in generated.tensors if name not in kept)


def check_encoder(path: Path, spec: Spec) -> None:
    """Make sure that a spec's architecture can be a ``tu-`` encoder.

    Raises:
        ArchitectureError: If it cannot.
    """
    encoder_names(spec.architecture, spec.target.in_chans)


def encoder_names(architecture: str, in_chans: int) -> dict[str, str]:
    """What the ``tu-`` encoder of an architecture calls its tensors, and what timm calls them.

    timm's feature extractors rename some modules (``stages.0`` becomes ``stages_0``) and drop
    others. So the encoder is built, on the meta device, and asked for its names.

    Args:
        architecture: A timm architecture.
        in_chans: The number of input channels.

    Returns:
        Name in the encoder's state dict to name in the headless timm model's, one to one.

    Raises:
        ArchitectureError: If smp cannot build the encoder, or it has a tensor that the headless
            model has not.
    """
    target = get_architecture(architecture, in_chans).shapes
    ours = {flat_name(name): name for name in target}
    names: dict[str, str] = {}
    for name, shape in _encoder_shapes(architecture, in_chans).items():
        inner = name.removeprefix('model.')
        found = next((ours.pop(flat) for flat in _unwrapped(inner) if flat in ours), None)
        if found is None or target[found] != shape:
            raise ArchitectureError(
                f"the encoder 'tu-{architecture}' has a tensor {name!r} that the model "
                f'{architecture!r} has not: write a folder, which timm itself can read'
            )
        names[name] = found
    return names


def _unwrapped(name: str) -> tuple[str, ...]:
    """A flat name as it is, or without the wrapper ``body`` that some of timm's extractors add."""
    return flat_name(name), flat_name(name.removeprefix('body.'))


def provenance_of_checkpoint(path: Path) -> Provenance:
    """The provenance inside a checkpoint that this module wrote.

    Raises:
        CacheError: If it is damaged or not ours.
    """
    if not path.is_file():
        raise CacheError(f'no such file: {path}')
    try:
        content = read_pickle(path)
    except TokenError as error:
        raise CacheError(f'{path} is not a readable checkpoint: {error}') from error
    if not isinstance(content, dict) or _PROVENANCE not in content:
        raise CacheError(f'{path} was not written by torchgeo-geosane: it carries no provenance')
    return Provenance.from_json(content[_PROVENANCE])


def _encoder_shapes(architecture: str, in_chans: int) -> Mapping[str, TensorSpec]:
    # Slow to import, and only this form needs it.
    from segmentation_models_pytorch.encoders import get_encoder

    make = partial(get_encoder, f'tu-{architecture}', in_channels=in_chans, weights=None)
    try:
        return shapes_of(make)
    except Exception as error:  # whatever smp, timm or the model's constructor raises
        raise ArchitectureError(
            f"segmentation_models_pytorch has no encoder 'tu-{architecture}': "
            f'{str(error).rstrip(".")}; for DPT, which takes ViTs, write a folder'
        ) from error


def _write(
    path: Path,
    hyper_parameters: Mapping[str, str],
    tensors: Mapping[str, Tensor],
    provenance: Provenance,
) -> None:
    content = {
        'hyper_parameters': dict(hyper_parameters),
        'state_dict': dict(tensors),
        _PROVENANCE: provenance.to_json(),
    }
    # Not by its name, which torch would write into the file.
    with replacing(path) as provisional, provisional.open('wb') as file:
        torch.save(content, file)
