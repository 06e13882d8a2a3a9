"""Which files hold weights, told from their names."""

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Literal

Format = Literal['safetensors', 'pickle', 'onnx']

SUFFIXES: dict[Format, frozenset[str]] = {
    'safetensors': frozenset({'.safetensors'}),
    'pickle': frozenset({'.pth', '.pt', '.ckpt', '.bin'}),
    'onnx': frozenset({'.onnx'}),
}

# What trainers leave beside the weights, in the same formats.
_NOISE = re.compile(r'optimizer|scheduler|rng_state|random_states|training_args|scaler', re.I)
_SHARD = re.compile(r'-(\d{5})-of-\d{5}\.\w+$')


def weights_files(names: Iterable[str], formats: Sequence[Format]) -> list[str]:
    """The files with weights among ``names``, sorted: those of the first format that is there.

    Of a model in several files only the first is named (see :func:`is_shard`).
    """
    candidates = sorted(name for name in names if not _NOISE.search(name))
    for form in formats:
        found = [name for name in candidates if PurePosixPath(name).suffix in SUFFIXES[form]]
        if found:
            return [name for name in found if (_shard(name) or 1) == 1]
    return []


def is_shard(name: str) -> bool:
    """Whether a file is one of several that hold one model."""
    return _shard(name) is not None


def _shard(name: str) -> int | None:
    match = _SHARD.search(name)
    return int(match[1]) if match else None
