"""Files of every kind that is read, damaged at random: the right content, or an error of ours.

A trial runs in a process of its own, so that a crash of a library, memory and time are seen, too.
"""

import io
import json
import logging
import os
import random
import resource
import signal
import struct
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save, save_file
from torch import Tensor

from torchgeo_geosane.errors import GeoSANEError

# What one damaged file of some kilobytes may take.
_MEGABYTES = 300
_SECONDS = 60
# Numbers that lengths, shapes and offsets are made of.
_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
_TOKENS = (
    b'null', b'true', b'-1', b'1e999', b'NaN', b'""', b'[]', b'{}', b'[' * 2000, b'9' * 5000,
    b'"\\ud800"', b'"\\u0000"', b'\x00', b'\xff\xfe', b'../', b'/dev/zero', b'*a', b'&a ', b',', b':',
)  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    Attributes:
        name: What it is.
        write: Makes the files in a folder; gives the one to damage.
        read: Reads it as a user's command does; gives what must be equal where nothing is damaged.
        exact: Whether damage must be noticed: a checksum covers every byte that counts.
    """

    name: str
    write: Callable[[Path], Path]
    read: Callable[[Path], Any]
    exact: bool = False


def mutate(content: bytes, generator: random.Random) -> bytes:
    """Some of: bits flipped, runs deleted, doubled, zeroed or moved, numbers and words put in, a cut."""
    data = bytearray(content)
    for _ in range(generator.choice((1, 1, 1, 2, 4, 16))):
        at = generator.randrange(len(data) + 1)
        # Headers are at the beginning and the end.
        if generator.random() < 0.6:
            at = min(len(data), generator.choice((at % 600, max(0, len(data) - at % 600))))
        run = generator.choice((1, 2, 4, 8, 64, 500))
        match generator.randrange(9):
            case 0 if data:
                data[at % len(data)] ^= 1 << generator.randrange(8)
            case 1 if data:
                data[at % len(data)] = generator.randrange(256)
            case 2:
                del data[at : at + run]
            case 3:
                data[at:at] = data[at : at + run]
            case 4:
                data[at : at + run] = bytes(len(data[at : at + run]))
            case 5:
                other = generator.randrange(len(data) + 1)
                data[at : at + run] = data[other : other + run]
            case 6:
                form = generator.choice(('<I', '<Q', '>I', '>Q', '<H', '>H'))
                number = generator.choice(_EXTREMES) & (2 ** (8 * struct.calcsize(form)) - 1)
                packed = struct.pack(form, number)
                data[at : at + len(packed)] = packed
            case 7:
                word = generator.choice(_TOKENS)
                data[at : at + generator.choice((0, len(word)))] = word
            case 8:
                del data[generator.randrange(len(data) + 1) :]
    return bytes(data)


def trial(kind: Kind, seed: int, folder: Path, times: int = 20) -> dict[str, int]:
    """Damage a file of one kind a few times, and read it each time.

    Args:
        kind: Its kind.
        seed: Decides the damage.
        folder: Of this trial alone.
        times: How often.

    Returns:
        How often it was refused, and how often it was read.

    Raises:
        AssertionError: If something else happened; the damage can be made again from the seed.
    """
    path = kind.write(folder)
    whole, right = path.read_bytes(), _value(kind.read(path))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(out)
        told = b'it ended early'
        try:
            logging.disable(logging.CRITICAL)
            told = json.dumps(_attempts(kind, seed, path, whole, right, times)).encode()
        except BaseException as error:
            told = f'{type(error).__name__}: {error}'.encode()
        finally:
            os.write(into, told[:4000])
            os._exit(0)
    os.close(into)
    with os.fdopen(out, 'rb') as answer:
        told = answer.read().decode(errors='replace')
    _, status, usage = os.wait4(child, 0)
    where = f'{kind.name}, seed {seed}'
    assert status == 0, f'{where}: the process ended with status {status}'
    assert told.startswith('{'), f'{where}: {told}'
    grown = (usage.ru_maxrss - before) // 1024
    assert grown < _MEGABYTES, f'{where}: {grown} MB were taken'
    counts: dict[str, int] = json.loads(told)
    return counts


def _attempts(
    kind: Kind, seed: int, path: Path, whole: bytes, right: Any, times: int
) -> dict[str, int]:
    counts = {'refused': 0, 'read': 0}
    for number in range(times):
        signal.alarm(_SECONDS)
        path.write_bytes(mutate(whole, random.Random(f'{kind.name} {seed} {number}')))
        try:
            value = _value(kind.read(path))
        except GeoSANEError as error:
            _check_message(str(error))
            counts['refused'] += 1
            continue
        except Exception as error:
            raise AssertionError(f'number {number}: {type(error).__name__}: {error}') from error
        assert not kind.exact or value == right, f'number {number}: it was read, and is not right'
        counts['read'] += 1
    return counts


def _check_message(message: str) -> None:
    assert message.strip(), 'the error says nothing'
    message.encode()  # It can be printed.


def _value(read: Any) -> Any:
    """What was read, such that it can be compared."""
    if isinstance(read, Tensor):
        return (
            read.dtype,
            tuple(read.shape),
            bytes(read.contiguous().reshape(-1).view(torch.uint8).numpy()),
        )
    if isinstance(read, dict):
        return {name: _value(value) for name, value in read.items()}
    return read


# What is written, and how it is read


def weights() -> dict[str, Tensor]:
    """Tensors of a small network of timm's."""
    from torchgeo_geosane.architectures import get_architecture

    return get_architecture('test_resnet').initialise(seed=0)


def small() -> dict[str, Tensor]:
    """A few tensors of several types."""
    generator = torch.Generator().manual_seed(0)
    return {
        'conv.weight': torch.randn(4, 3, 2, 2, generator=generator),
        'bn.num_batches_tracked': torch.tensor(7),
        'fc.weight': torch.randn(5, 8, generator=generator).half(),
        'fc.bias': torch.zeros(5, dtype=torch.bfloat16),
    }


def _saved(name: str, content: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content)
        return path

    return write


def _read_network(path: Path) -> dict[str, Tensor]:
    from torchgeo_geosane.collection.base import open_weights

    source = open_weights(path)
    return {name: source.read(name) for name in source.names()}


def _torch_file(zipped: bool, packed: bool = False) -> bytes:
    buffer = io.BytesIO()
    content = {'state_dict': small(), 'epoch': 3, 'args': {'lr': 0.1}}
    torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
    if not packed:
        return buffer.getvalue()
    anew = io.BytesIO()
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(anew, 'w', zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return anew.getvalue()


def _onnx() -> bytes:
    from onnx import helper, numpy_helper

    tensors = [numpy_helper.from_array(t.float().numpy(), name) for name, t in small().items()]
    node = helper.make_node('Identity', ['x'], ['y'])
    graph = helper.make_graph([node], 'toy', [], [], initializer=tensors)
    content: bytes = helper.make_model(graph).SerializeToString()
    return content


def _lite() -> bytes:
    from lite import SAME, Lite

    lite, generator = Lite(), np.random.default_rng(0)

    def constant(*shape: int) -> int:
        return lite.constant(generator.normal(size=shape).astype('f4'))

    image = lite.image(1, 8, 8, 3)
    stride = {'Padding': SAME, 'StrideH': 2, 'StrideW': 2}
    kernel = lite.half(generator.normal(size=(6, 3, 3, 3)))
    blob = lite.run('CONV_2D', [image, kernel, constant(6)], (1, 4, 4, 6), **stride)
    deep = [blob, constant(1, 3, 3, 6), constant(6)]
    blob = lite.run('DEPTHWISE_CONV_2D', deep, (1, 2, 2, 6), DepthMultiplier=1, **stride)
    axes = lite.constant(np.array([1, 2], np.int32))
    blob = lite.run('MEAN', [blob, axes], (1, 6), KeepDims=0)
    return lite.written([image], [lite.run('FULLY_CONNECTED', [blob, constant(4, 6)], (1, 4))])


def _read_lite(path: Path) -> dict[str, Tensor]:
    from torchgeo_geosane.alignment import groups_of_tflite

    groups_of_tflite(path)
    return _read_network(path)


def _write_index(folder: Path) -> Path:
    save_file(small(), folder / 'a.safetensors')
    path = folder / 'model.safetensors.index.json'
    path.write_text(json.dumps({'weight_map': dict.fromkeys(small(), 'a.safetensors')}))
    return path


def _write_prompt(folder: Path) -> Path:
    save_file(weights(), folder / 'x')
    return folder / 'x'


def _read_prompt(path: Path) -> dict[str, Tensor]:
    from torchgeo_geosane.generate import take_prompt
    from torchgeo_geosane.spec import Spec

    return take_prompt(Spec('test_resnet', 'rgb', (f'file:{path}',)))


def _model() -> Any:
    from torchgeo_geosane.foundry.autoencoder import WeightAutoencoder
    from torchgeo_geosane.foundry.config import FoundryConfig

    torch.manual_seed(0)
    config = FoundryConfig(
        d_model=8, nhead=2, num_layers=1, latent_dim=4, token_size=6, window=8, halo=2
    )
    return WeightAutoencoder(config)


def _write_foundry(folder: Path) -> Path:
    from torchgeo_geosane.foundry.checkpoint import save as save_foundry

    save_foundry(folder / 'f.safetensors', _model(), {'licence': 'MIT'})
    return folder / 'f.safetensors'


def _write_official(folder: Path) -> Path:
    from torchgeo_geosane.foundry.checkpoint import save_official

    save_official(folder, _model())
    return next(folder.rglob('state.pt'))


def _write_params(folder: Path) -> Path:
    _write_official(folder)
    return folder / 'params.json'


def _read_foundry(path: Path) -> int:
    from torchgeo_geosane.foundry.foundry import Foundry

    folder = path if path.suffix == '.safetensors' else path.parents[path.name == 'state.pt']
    return Foundry.load(str(folder)).config.d_model


def _write_generated(name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        from torchgeo_geosane.export import export
        from torchgeo_geosane.generate import create
        from torchgeo_geosane.spec import Spec

        spec = Spec('test_resnet', 'rgb', ('random',))
        export(create(spec, [0])[0], folder / name)
        return folder / name

    return write


def _read_weights(path: Path) -> dict[str, Tensor]:
    from torchgeo_geosane.provenance import read_weights

    return read_weights(path)[0]


def _read_checkpoint(path: Path) -> str:
    from torchgeo_geosane.export import provenance_of

    return provenance_of(path).key


def _write_manifest(folder: Path) -> Path:
    from torchgeo_geosane.collection.folders import FolderSource
    from torchgeo_geosane.collection.gather import gather
    from torchgeo_geosane.collection.sources import Sources

    (folder / 'models').mkdir()
    for seed in range(2):
        tensors = {'a.weight': torch.full((40, 40), float(seed))}
        save_file(tensors, folder / 'models' / f'{seed}.safetensors')
    source = FolderSource(path=folder / 'models', licence='MIT')
    gather(folder / 'm.jsonl', Sources(folders=(source,)), progress=False)
    return folder / 'm.jsonl'


def _read_manifest(path: Path) -> int:
    from torchgeo_geosane.collection.gather import gather

    return len(gather(path.with_name('again.jsonl'), manifest=path, progress=False))


def _read_configuration(path: Path) -> None:
    from torchgeo_geosane.cli.configs import check_configs

    check_configs(['--config', str(path)])


def _read_provenance(path: Path) -> str:
    from torchgeo_geosane.provenance import Provenance

    with_surrogates = path.read_bytes().decode(errors='surrogateescape')
    return Provenance.from_json(with_surrogates).key


def _write_provenance(folder: Path) -> Path:
    from torchgeo_geosane.provenance import read_provenance

    record = read_provenance(_write_generated('w.safetensors')(folder))
    (folder / 'p.json').write_text(record.to_json())
    return folder / 'p.json'


def _write_raster(folder: Path) -> Path:
    import numpy as np
    import rasterio
    from rasterio.transform import from_origin

    values = np.random.default_rng(0).integers(1, 3000, (3, 32, 32)).astype('uint16')
    profile = {'driver': 'GTiff', 'width': 32, 'height': 32, 'count': 3, 'dtype': 'uint16'}
    place = {'crs': 'EPSG:32633', 'transform': from_origin(500_000, 5_000_000, 10, 10)}
    path = folder / 'rgb_20200601.tif'
    with rasterio.open(path, 'w', **profile, **place) as raster:
        raster.write(values)
        raster.descriptions = ('red', 'green', 'blue')
    return path


def _write_item(folder: Path) -> Path:
    names = ('red', 'green', 'blue')
    bands = [{'name': name, 'common_name': name} for name in names]
    item = {
        'type': 'Feature',
        'id': 'n',
        'properties': {'datetime': '2020-06-01T00:00:00Z'},
        'assets': {'a': {'href': _write_raster(folder).name, 'roles': ['data'], 'eo:bands': bands}},
    }
    (folder / 'item.json').write_text(json.dumps(item))
    return folder / 'item.json'


def _write_polygons(folder: Path) -> Path:
    _write_raster(folder)
    ring = [[500_050, 4_999_950], [500_150, 4_999_950], [500_150, 4_999_850], [500_050, 4_999_950]]
    crs = {'type': 'name', 'properties': {'name': 'urn:ogc:def:crs:EPSG::32633'}}
    feature = {
        'type': 'Feature',
        'properties': {'what': 'water'},
        'geometry': {'type': 'Polygon', 'coordinates': [ring]},
    }
    content = {'type': 'FeatureCollection', 'crs': crs, 'features': [feature]}
    (folder / 'labels.geojson').write_text(json.dumps(content))
    return folder / 'labels.geojson'


def _read_imagery(path: Path) -> dict[str, Tensor]:
    from torchgeo_geosane.datasets import Imagery

    labels = {}
    if path.suffix == '.geojson':
        labels = {'labels': str(path), 'attribute': 'what', 'classes': ['water']}
    images = next(path.parent.glob('*.tif')) if labels else path
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        imagery = Imagery({'rgb': str(images)}, **labels)
        sample = imagery[imagery.bounds]
    return {name: value for name, value in sample.items() if isinstance(value, Tensor)}


_YAML = b"""
defaults: &defaults
  path: /models
  licence: MIT
sources:
  folders:
    - <<: *defaults
      modality: optical
    - *defaults
rules: {max_bytes: 1000, duplicate_share: 0.5}
tokens: {size: 230}
"""

KINDS = (
    Kind('safetensors', _saved('x.safetensors', save(small())), _read_network),
    Kind('torch', _saved('x.pth', _torch_file(zipped=True)), _read_network),
    Kind('torch, compressed', _saved('x.pth', _torch_file(True, packed=True)), _read_network),
    Kind('torch before 1.6', _saved('x.pth', _torch_file(zipped=False)), _read_network),
    Kind('ONNX', _saved('x.onnx', _onnx()), _read_network),
    Kind('TensorFlow Lite', _saved('x.tflite', _lite()), _read_lite),
    Kind('index of several files', _write_index, _read_network),
    Kind('prompt', _write_prompt, _read_prompt),
    Kind('foundry', _write_foundry, _read_foundry),
    Kind('official foundry', _write_official, _read_foundry),
    Kind('official parameters', _write_params, _read_foundry),
    Kind('generated weights', _write_generated('w.safetensors'), _read_weights, exact=True),
    Kind('generated checkpoint', _write_generated('w.ckpt'), _read_checkpoint),
    Kind('provenance', _write_provenance, _read_provenance),
    Kind('manifest', _write_manifest, _read_manifest),
    Kind('GeoTIFF', _write_raster, _read_imagery),
    Kind('STAC item', _write_item, _read_imagery),
    Kind('polygons', _write_polygons, _read_imagery),
    Kind('configuration', _saved('c.yaml', _YAML), _read_configuration),
)
