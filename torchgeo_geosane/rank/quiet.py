"""What libraries say about every model and trainer, and what is expected here."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

# timm tells of every layer that a feature extractor leaves out, Lightning of every trainer.
_TALKERS = ('timm.models._builder', 'lightning.pytorch', 'lightning.fabric')


@contextmanager
def quiet() -> Iterator[None]:
    """Let libraries say what is wrong, and nothing else."""
    loggers = [logging.getLogger(name) for name in _TALKERS]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
