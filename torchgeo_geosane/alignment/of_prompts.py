"""Prompts brought into the order of the first of them, which may be a foundry's reference."""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence

from torchgeo_geosane.alignment.align import Alignment, align
from torchgeo_geosane.alignment.find import find_groups
from torchgeo_geosane.alignment.stored import recall, recall_chance
from torchgeo_geosane.errors import AlignmentError, PromptError
from torchgeo_geosane.foundry.source import RenamedSource, TensorSource
from torchgeo_geosane.prompts import Prompt
from torchgeo_geosane.provenance import AlignmentRecord

logger = logging.getLogger(__name__)


def align_prompts(
    prompts: Sequence[Prompt], sources: Sequence[TensorSource]
) -> tuple[list[TensorSource], list[AlignmentRecord | None]]:
    """Bring every prompt into the order of the first one; what was found before is in the cache.

    Args:
        prompts: Prompts of one architecture.
        sources: Their tensors, all stems in the first one's bands.

    Returns:
        The aligned tensors, views of the others, and how they were aligned; the first is not.

    Raises:
        PromptError: If a prompt holds NaN or infinite values, or other tensors than the first.
    """
    aligned = list(sources)
    records: list[AlignmentRecord | None] = [None for _ in prompts]
    for index in range(1, len(prompts)):
        found = _align(prompts[0], sources[0], prompts[index], sources[index])
        aligned[index], records[index] = found.view(sources[index]), _record(found)
        _warn(prompts[index], found.left_out)
    return aligned, records


def _warn(prompt: Prompt, left_out: Mapping[str, str]) -> None:
    """Say of each reason once what it leaves in its order."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    for group, reason in left_out.items():
        by_reason[reason].append(group)
    for reason, groups in by_reason.items():
        first, *others = groups
        which = f'the units of {first!r}' if first else 'its units'
        more = f' and of {len(others)} more' if others else ''
        logger.warning('Prompt %r: %s%s stay as they are: %s', prompt.name, which, more, reason)


def _align(
    first: Prompt, reference: TensorSource, prompt: Prompt, source: TensorSource
) -> Alignment:
    # The stem was fitted to other bands, which tell of its units, too.
    bands = [f'{band.name} {band.wavelength}' for band in (*prompt.bands, *first.bands)]
    identity = [first.architecture, first.fingerprint, prompt.fingerprint, *bands]
    # One may lack what nobody asks for, such as a head or an encoder's last layer.
    both = set(source.names()) & set(reference.names())
    common = {name: name for name in reference.names() if name in both}
    ours, theirs = RenamedSource(source, common), RenamedSource(reference, common)

    def find() -> Alignment:
        groups = find_groups(first.architecture)
        own = [first.architecture, first.fingerprint, *sorted(both)]
        return align(ours, theirs, groups, lambda: recall_chance(own, theirs, groups))

    try:
        return recall(identity, find)
    except AlignmentError as error:
        raise PromptError(f'prompts {first.name!r} and {prompt.name!r}: {error}') from error


def _record(found: Alignment) -> AlignmentRecord:
    return AlignmentRecord(
        units=found.units,
        moved=found.moved,
        before=found.before,
        after=found.after,
        chance=found.chance,
        left_out=dict(found.left_out),
    )
