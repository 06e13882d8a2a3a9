"""What tests of callbacks share."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What is logged on the way, in Lightning's log."""
    messages: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger('lightning.pytorch')
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)
