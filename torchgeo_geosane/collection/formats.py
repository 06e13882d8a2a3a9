"""Which files hold weights, told from their names."""

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Literal

Format = Literal['safetensors', 'pickle', 'onnx', 'ncnn', 'tflite']

SUFFIXES: dict[Format, frozenset[str]] = {
    'safetensors': frozenset({'.safetensors'}),
    'pickle': frozenset({'.pth', '.pt', '.ckpt', '.bin'}),
    'onnx': frozenset({'.onnx'}),
    'ncnn': frozenset({'.param'}),
    'tflite': frozenset({'.tflite'}),
}

# What trainers leave beside the weights, in the same formats.
_NOISE = re.compile(r'optimizer|scheduler|rng_state|random_states|training_args|scaler', re.I)
_SHARD = re.compile(r'-(\d{5})-of-\d{5}\.(\w+)$')
_INDEX = '.index.json'


def weights_files(names: Iterable[str], formats: Sequence[Format]) -> list[str]:
    """The files with weights among ``names``, sorted: those of the first format that is there.

    Of a model in several files its index is named; where there is none, the first of them (see
    :func:`is_shard`).
    """
    candidates = _without_values(sorted(name for name in names if not _NOISE.search(name)))
    for form in formats:
        found = _of_formats(candidates, [form])
        if found:
            return [name for name in found if (_shard(name) or 1) == 1]
    return []


def all_weights_files(names: Iterable[str]) -> list[str]:
    """The files with weights among ``names``, sorted, in any format.

    Of a model in several files its index is named; where there is none, each of them.
    """
    return _of_formats(_without_values(sorted(names)), list(SUFFIXES))


def _of_formats(names: list[str], formats: Sequence[Format]) -> list[str]:
    """The names that a format's files have, but not those that an index stands for."""
    suffixes = frozenset().union(*(SUFFIXES[form] for form in formats))
    found = [name for name in names if _suffix(name) in suffixes]
    return [name for name in found if _index(name) not in found]


def _without_values(names: list[str]) -> list[str]:
    """The names but the values of networks of ncnn, which lie beside their layers."""
    layers = {name.removesuffix('.param') for name in names if name.endswith('.param')}
    return [name for name in names if name.removesuffix('.bin') not in layers]


def is_shard(name: str) -> bool:
    """Whether a file is one of several that hold one model."""
    return _shard(name) is not None


def shards_of(index: str, names: Iterable[str]) -> list[str]:
    """The files of the model that an index names, as far as they are among ``names``."""
    return [name for name in names if _index(name) == index]


def _index(shard: str) -> str | None:
    """The index that names one of several files."""
    match = _SHARD.search(shard)
    return f'{shard[: match.start()]}.{match[2]}{_INDEX}' if match else None


def _suffix(name: str) -> str:
    return PurePosixPath(name.removesuffix(_INDEX)).suffix


def _shard(name: str) -> int | None:
    match = _SHARD.search(name)
    return int(match[1]) if match else None
