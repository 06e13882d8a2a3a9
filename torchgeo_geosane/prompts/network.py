"""What downloaded prompts share: failing fast, and saying what works without a network."""

import urllib.error
import urllib.request

from torchgeo_geosane.errors import PromptError
from torchgeo_geosane.prompts import packaged

_TIMEOUT_SECONDS = 10


def require_answer(url: str) -> None:
    """Ask a server once, because the hub's client retries for most of a minute when offline.

    Args:
        url: Any page of the server; proxies are taken from the environment.

    Raises:
        OSError: If nobody answers. An HTTP error is an answer.
    """
    try:
        request = urllib.request.Request(url, method='HEAD')
        urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS).close()
    except urllib.error.HTTPError:
        return


def unreachable(prompt: str, architecture: str, reason: object) -> PromptError:
    """The error for a prompt that could not be fetched, naming what works offline."""
    offline = [
        *(f'{name!r}' for name in packaged.names(architecture)),
        "'file:<path>' to weights of this architecture",
        "'random'",
    ]
    return PromptError(
        f'prompt {prompt!r} could not be fetched: {reason}. '
        f'Prompts for {architecture!r} that need no network: {", ".join(offline)}'
    )
