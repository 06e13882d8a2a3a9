"""The base error of the package, and the foundry's own.

They live here, not beside the other errors, because the foundry imports nothing from the rest of the package.
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
        ``": did you mean 'a' or 'b'?"``, or ``"; known: 'a', 'b', …"`` when nothing is near.
    """
    choices = sorted(choices)
    begun = [choice for choice in choices if name and choice.lower().startswith(name.lower())]
    near = (begun + difflib.get_close_matches(name, choices, n=3, cutoff=0.6))[:3]
    near = (
        list(dict.fromkeys(near)) or [c for c in choices if name and name.lower() in c.lower()][:3]
    )
    if near:
        return ': did you mean ' + ' or '.join(repr(choice) for choice in near) + '?'
    shown = ', '.join(repr(choice) for choice in choices[:12])
    return f'; known: {shown}' + (', …' if len(choices) > 12 else '')
