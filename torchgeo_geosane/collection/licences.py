"""Which licences allow a foundry to learn from a model: a foundry is derived from its collection."""

import re
from typing import Literal

UnknownLicences = Literal['skip', 'keep']

# Creative Commons' ND, and the words of licences that say it in full (some RAIL variants do).
_FORBIDS = re.compile(
    r'\b(cc|by)\b.*\bnd\b|no[ -]?deriv|all rights reserved|proprietary', re.IGNORECASE
)
# How hubs spell that nothing, or nothing known to them, is stated.
_UNSTATED = frozenset({'', 'unknown', 'other', 'none'})


def refusal(licence: str | None, unknown: UnknownLicences) -> str | None:
    """Why a licence keeps a model out of a collection; None where it does not.

    Args:
        licence: SPDX identifier or name, as its publisher states it.
        unknown: What becomes of models without a stated licence.
    """
    if licence is None or licence.strip().lower() in _UNSTATED:
        return None if unknown == 'keep' else 'no licence is stated'
    # Underscores are letters to a regular expression.
    if _FORBIDS.search(licence.replace('_', '-')):
        return f'its licence forbids derivation: {licence}'
    return None
