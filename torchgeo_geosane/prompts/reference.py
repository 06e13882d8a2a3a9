"""The prompt ``reference``: the network of an architecture that a foundry keeps in its own file.

All networks that the foundry was trained on are in its order. Where networks are drawn without a
prompt, it has what is not generated.
"""

from functools import partial

from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.errors import PromptError
from torchgeo_geosane.foundry import checkpoint
from torchgeo_geosane.foundry.foundry import fingerprint, licence_of, locate
from torchgeo_geosane.foundry.known import Known
from torchgeo_geosane.foundry.source import TensorSource
from torchgeo_geosane.prompts.base import Prompt
from torchgeo_geosane.sensors import Sensor

NAME = 'reference'


def resolve(foundry: str, architecture: str, sensor: Sensor) -> Prompt:
    """Find the reference of an architecture; only the header of the foundry's file is read.

    Args:
        foundry: Name of the foundry.
        architecture: A timm architecture.
        sensor: The sensor wanted: the reference's stem is taken to see its bands.

    Raises:
        FoundryError: If there is no such foundry.
        PromptError: If it keeps no reference of this architecture, or one of other bands.
    """
    known, source = _find(foundry, architecture)
    wanted = get_architecture(architecture, sensor.in_chans)
    for stem in wanted.stems:
        if source.shape(stem) != wanted.shapes[stem].shape:
            raise PromptError(
                f'the reference of {architecture!r} in the foundry {foundry!r} sees '
                f'{source.shape(stem)[1]} bands, the sensor {sensor.name!r} has {sensor.in_chans}: '
                'name another sensor, or another prompt'
            )
    return Prompt(
        name=NAME,
        architecture=architecture,
        bands=sensor.bands,
        sensor=sensor.name,
        source=f'{known.record.reference}, the reference in the foundry {foundry}',
        licence=licence_of(foundry),
        fingerprint=f'reference:{fingerprint(foundry)}',
        load=partial(_load, foundry, architecture),
    )


def keeps_reference(foundry: str, architecture: str) -> bool:
    """Whether a foundry keeps a reference of an architecture.

    Raises:
        FoundryError: If there is no such foundry.
    """
    try:
        _find(foundry, architecture)
    except PromptError:
        return False
    return True


def _load(foundry: str, architecture: str) -> TensorSource:
    return _find(foundry, architecture)[1]


def _find(foundry: str, architecture: str) -> tuple[Known, TensorSource]:
    """What a foundry knows of an architecture, told by its tensors, and the reference it keeps."""
    known = checkpoint.read_checkpoint(locate(foundry)).known
    wanted = get_architecture(architecture)
    for each in known:
        reference = each.reference
        floating = {n: spec for n, spec in wanted.shapes.items() if spec.dtype.is_floating_point}
        if reference is not None and all(
            name in each.record.shapes
            and (name in wanted.stems or each.record.shapes[name] == spec.shape)
            for name, spec in floating.items()
        ):
            return each, reference
    kept = [repr(each.record.architecture) for each in known if each.reference is not None]
    raise PromptError(
        f'the foundry {foundry!r} keeps no reference of {architecture!r}, so it draws none without a '
        f'prompt; it keeps {", ".join(kept) or "none at all"}. Name a prompt, and a sampler that '
        'draws around it'
    )
