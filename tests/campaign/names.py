"""Names, URLs, paths and settings as nobody would write them: the right thing, or an error of ours."""

import logging
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from torchgeo_geosane import cache
from torchgeo_geosane.collection.folders import FolderSource
from torchgeo_geosane.collection.manifest import read_manifest
from torchgeo_geosane.errors import GeoSANEError
from torchgeo_geosane.export import provenance_of
from torchgeo_geosane.foundry.foundry import Foundry, fingerprint
from torchgeo_geosane.generate import identify
from torchgeo_geosane.prompts import resolve_prompt
from torchgeo_geosane.providers.catalog import find_spec
from torchgeo_geosane.sensors import get_sensor
from torchgeo_geosane.spec import Spec

# What names are put together from: real parts, and what breaks parsers, paths and encodings.
_PARTS = (
    *('', ' ', '/', '//', '.', '..', '~', '~nobodyknown', '@', ':', '?', '&', '=', '#', '%', '*', '\\'),
    *('%00', '%ff', '%2F', '[', ']', '[]', '[B4,B3]', '[B4,B4]', ',', '"', "'", '$HOME', '-', '--', '+'),
    *('\0', '\n', '\t', '\r', '\x1b[31m', '\x7f', '\ud800', '\udcff', '\u202e', 'é', 'ß', 'İ', '名', '🛰', '\ufeff'),
    *('a' * 300, 'a' * 5000, '/' * 5000, '0', '-1', '1e999', 'nan', 'None', 'True', '9' * 5000),
    *('/dev/zero', '/dev/null', '/proc/self/mem', '/proc/self/fd/0', '/tmp', '/', 'C:\\x', 'file:', 'timm:'),
    *('torchgeo:', 'ukis:', 'random', 'geosane://', 'http://', 'hf-hub:', 'embedded', 'resnet18', 'test_resnet'),
    *('rgb', 'sentinel2_all', 'sentinel1_grd', 'HSG-AIML/GeoSANE', 'ResNet18_Weights.SENTINEL2_ALL_MOCO'),
    *('sensor=', 'seed=', 'prompt=', 'foundry=', 'sampler=', 'kde', 'bandwidth=', 'precision=float32', '.a1_in1k'),
    *('GeoSANE_ResNet18_Weights.SENTINEL2_ALL', 'geosane_resnet18.sentinel2_all', '.safetensors', '.pth', '.ckpt'),
)  # fmt: skip


@contextmanager
def _cache_at(name: str) -> Iterator[None]:
    before = os.environ.get(cache.ENVIRONMENT)
    try:
        os.environ[cache.ENVIRONMENT] = name
    except (ValueError, UnicodeError):  # No process can have it.
        yield
        return
    try:
        yield
    finally:
        if before is None:
            del os.environ[cache.ENVIRONMENT]
        else:
            os.environ[cache.ENVIRONMENT] = before


def _list_cache(name: str) -> None:
    with _cache_at(name):
        cache.entries()


def _identify(**fields: str) -> None:
    identify(
        Spec(**{'architecture': 'test_resnet', 'sensor': 'rgb', 'prompts': ('random',), **fields})
    )  # type: ignore[arg-type]


USES: dict[str, Callable[[str], object]] = {
    'URL': Spec.parse,
    'name of weights': find_spec,
    'architecture': lambda name: Spec(name, 'rgb'),
    'sensor': get_sensor,
    'sensor of a spec': lambda name: Spec('test_resnet', name, ('random',)),
    'parameters of a URL': lambda name: Spec.parse(f'geosane://test_resnet?sensor=rgb&{name}'),
    'prompt': lambda name: resolve_prompt(name, 'test_resnet', get_sensor('rgb'), 0),
    'prompt of a file': lambda name: resolve_prompt(f'file:{name}', 'test_resnet', get_sensor('rgb'), 0),
    'prompt of timm': lambda name: resolve_prompt(f'timm:{name}', 'test_resnet', get_sensor('rgb'), 0),
    'prompt of TorchGeo': lambda name: resolve_prompt(f'torchgeo:{name}', 'resnet18', get_sensor('rgb'), 0),
    'foundry': fingerprint,
    'foundry to load': Foundry.load,
    'foundry of a spec': lambda name: _identify(foundry=name),
    'file of weights': provenance_of,
    'manifest': read_manifest,
    'folder of models': lambda name: next(iter(FolderSource(path=Path(name), licence='MIT').models()), None),
    'place of the cache': _list_cache,
}  # fmt: skip


def make_name(generator: random.Random) -> str:
    """Some parts one after the other, or any characters."""
    if generator.random() < 0.15:
        return ''.join(chr(generator.randrange(0x110000)) for _ in range(generator.randrange(12)))
    return ''.join(generator.choice(_PARTS) for _ in range(generator.randrange(1, 5)))


def trial(use: str, seed: int, times: int = 40) -> dict[str, int]:
    """Use names in one place.

    Args:
        use: Where, a key of :data:`USES`.
        seed: Decides the names.
        times: How many.

    Returns:
        How many were refused, and how many were taken.

    Raises:
        AssertionError: If another error is raised than one of ours.
    """
    counts = {'refused': 0, 'taken': 0}
    logging.disable(logging.CRITICAL)
    try:
        for number in range(times):
            name = make_name(random.Random(f'{use} {seed} {number}'))
            # Whole trees of folders are no fault, but they take for ever.
            if use == 'folder of models' and os.path.isdir(name):
                continue
            try:
                USES[use](name)
                counts['taken'] += 1
            except GeoSANEError as error:
                str(error).encode(errors='surrogatepass')
                counts['refused'] += 1
            except Exception as error:
                what = f'{use}, seed {seed}, number {number}: {name[:200]!r}'
                raise AssertionError(f'{what}: {type(error).__name__}: {error}'[:400]) from error
    finally:
        logging.disable(logging.NOTSET)
    return counts
