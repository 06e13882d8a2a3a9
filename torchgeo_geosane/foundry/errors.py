"""The base error of the package, and the foundry's own.

They live here, not beside the other errors, because the foundry imports nothing from the rest of
the package.
"""

import difflib
from collections.abc import Iterable


class GeoSANEError(Exception):
    """Base of every error this package raises on purpose; its message says what to do."""


class FoundryError(GeoSANEError):
    """A foundry cannot be found, is damaged, or contradicts itself."""


class TokenError(GeoSANEError):
    """Weights cannot be cut into tokens: wrong shapes, not finite, or nothing to cut."""


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """End an 'unknown name' message with the nearest valid names.

    Args:
        name: The name that was asked for.
        choices: The valid names.

    Returns:
        ``": did you mean 'a', 'b' or 'c'?"``, or ``"; known: 'a', 'b', …"`` when nothing is near.
    """
    by_lower = {choice.lower(): choice for choice in sorted(choices)}
    asked = name.lower()
    near = (
        [known for known in by_lower if asked and known.startswith(asked)]
        or difflib.get_close_matches(asked, by_lower, n=3, cutoff=0.6)
        or [known for known in by_lower if asked and asked in known]
    )
    if near:
        *others, last = (repr(by_lower[known]) for known in near[:3])
        return f': did you mean {", ".join(others)}{" or " if others else ""}{last}?'
    if not by_lower:
        return '; nothing is known'
    shown = ', '.join(repr(choice) for choice in list(by_lower.values())[:12])
    return f'; known: {shown}' + (', …' if len(by_lower) > 12 else '')
