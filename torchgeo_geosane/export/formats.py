"""The forms by name; which one a path asks for; writing, and telling where a file comes from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from torchgeo_geosane.candidate import Generated
from torchgeo_geosane.errors import CacheError, did_you_mean
from torchgeo_geosane.export.checkpoint import (
    check_encoder,
    provenance_of_checkpoint,
    write_checkpoint,
    write_encoder_checkpoint,
)
from torchgeo_geosane.export.folder import WEIGHTS, check_folder, write_folder
from torchgeo_geosane.foundry.files import printable, telling
from torchgeo_geosane.provenance import Provenance, read_provenance, write_weights
from torchgeo_geosane.spec import Spec

LeftOut = tuple[str, ...]
"""Names of generated tensors that a form has no place for."""


@dataclass(frozen=True)
class Format:
    """One form in which weights are written.

    Attributes:
        name: How it is asked for.
        suffix: What its files end in; empty for a folder.
        write: Writes weights, and names the tensors that it left out.
        check: Makes sure before anything is generated that a spec can be written to a path.
    """

    name: str
    suffix: str
    write: Callable[[Path, Generated], LeftOut]
    check: Callable[[Path, Spec], None] = lambda path, spec: None


def _write_safetensors(path: Path, generated: Generated) -> LeftOut:
    write_weights(path, generated.tensors, generated.provenance)
    return ()


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        form.name: form
        for form in (
            Format('safetensors', '.safetensors', _write_safetensors),
            Format('torchgeo', '.ckpt', write_checkpoint),
            Format('torchgeo-tu', '.ckpt', write_encoder_checkpoint, check_encoder),
            Format('folder', '', write_folder, check_folder),
        )
    }
)
"""Every form by name. Of those with one suffix, the first is what the suffix stands for."""


def export(generated: Generated, path: str | Path, form: str | None = None) -> LeftOut:
    """Write generated weights for another tool; what is at ``path`` is replaced.

    Example:
        >>> weights = generate(Spec('tf_efficientnet_b4', 'sentinel2_all'))
        >>> export(weights, 'b4.safetensors')
        >>> export(weights, 'b4')  # a folder: timm.create_model('local-dir:b4', pretrained=True)

    Args:
        generated: The weights.
        path: Where to. Its suffix chooses the form: ``.safetensors``, ``.ckpt``, or none for a
            folder.
        form: One of :data:`FORMATS`, where the suffix does not say it:

            - ``safetensors``: the state dict, with provenance in the header.
            - ``torchgeo``: a checkpoint for the ``weights`` argument of TorchGeo's tasks.
            - ``torchgeo-tu``: the same for the ``tu-`` encoders of its segmentation tasks.
            - ``folder``: for timm's ``local-dir:`` and the Hugging Face Hub, with a model card.

    Returns:
        The names of the tensors that the form has no place for: those that a ``tu-`` encoder does
        not use. All others are written.

    Raises:
        CacheError: If the form or the suffix is unknown or cannot be written; nothing is left
            behind.
        ArchitectureError: If the architecture has no such form.
    """
    path = Path(path)
    return _choose(path, form).write(path, generated)


def check_format(path: Path, spec: Spec, form: str | None = None) -> None:
    """Make sure, before anything is generated, that a spec's weights can be written so.

    Raises:
        CacheError: If form or suffix is unknown, or they do not belong together, or a folder is in
            the way that holds other files.
        ArchitectureError: If the architecture has no such form.
    """
    _choose(path, form).check(path, spec)


def provenance_of(path: str | Path) -> Provenance:
    """The provenance inside a file or folder that ``export`` wrote.

    Raises:
        CacheError: If it is damaged or not ours.
    """
    with telling(CacheError, f'{printable(path)} cannot be read'):
        path = Path(path)
        if path.is_dir():
            return read_provenance(path / WEIGHTS)
        return provenance_of_checkpoint(path) if path.suffix == '.ckpt' else read_provenance(path)


def _choose(path: Path, name: str | None) -> Format:
    """The form that is asked for by name, or by the suffix."""
    suffixes = list(dict.fromkeys(form.suffix for form in FORMATS.values() if form.suffix))
    listed = ' or '.join(suffixes)
    if name is None:
        for form in FORMATS.values():
            if form.suffix == path.suffix:
                return form
        raise CacheError(
            f'cannot write {path.name!r}: the suffix must be {listed}, or none for a folder; '
            "for a folder of this name ask for the format 'folder'"
        )
    if name not in FORMATS:
        raise CacheError(f'unknown format {name!r}{did_you_mean(name, FORMATS)}')
    form = FORMATS[name]
    if form.suffix and form.suffix != path.suffix:
        raise CacheError(
            f'cannot write {path.name!r}: in the format {name!r} the suffix must be {form.suffix}'
        )
    if not form.suffix and path.suffix in suffixes:
        raise CacheError(f'cannot write {path.name!r}: the name of a folder cannot end in {listed}')
    return form
