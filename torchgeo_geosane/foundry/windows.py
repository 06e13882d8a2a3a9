"""Windows: the runs of tokens an autoencoder sees at once.

Attention needs context, so a window looks ``halo`` tokens beyond its core on both sides; only the
core's results are kept. At the ends of the sequence a window is shifted inwards so that it stays
full, and the core is then read at its true place in the shifted window.
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    """Context ``[start, stop)`` around the core ``[core_start, core_stop)``, in tokens."""

    start: int
    stop: int
    core_start: int
    core_stop: int

    @property
    def core(self) -> slice:
        """Where the core lies inside the window."""
        return slice(self.core_start - self.start, self.core_stop - self.start)


def plan_windows(n_tokens: int, size: int, halo: int) -> list[Window]:
    """Cover a token sequence with windows.

    Args:
        n_tokens: Length of the sequence.
        size: Tokens in a core (at least 1). The last core may be shorter.
        halo: Context on each side of a core (at least 0).

    Returns:
        Windows whose cores partition ``[0, n_tokens)`` in order. All contexts are ``size + 2 *
        halo`` long, or all of the sequence where it is shorter. Neighbours whose contexts coincide
        at the end are merged into one.
    """
    if size < 1 or halo < 0:
        raise ValueError(f'a window needs size >= 1 and halo >= 0, not size {size}, halo {halo}')
    length = min(size + 2 * halo, n_tokens)
    windows: list[Window] = []
    for core_start in range(0, n_tokens, size):
        start = min(max(core_start - halo, 0), n_tokens - length)
        core_stop = min(core_start + size, n_tokens)
        if windows and windows[-1].start == start:
            windows[-1] = Window(start, start + length, windows[-1].core_start, core_stop)
        else:
            windows.append(Window(start, start + length, core_start, core_stop))
    return windows


def batches(windows: list[Window], size: int) -> Iterator[list[Window]]:
    """Group windows into runs of at most ``size``; all have one length, so runs can be stacked."""
    for first in range(0, len(windows), size):
        yield windows[first : first + size]
