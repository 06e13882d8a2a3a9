"""Networks of TensorFlow Lite in a folder: brought into one order, and left out where quantised."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from lite import RELU, SAME, Lite

from torchgeo_geosane.alignment import from_text
from torchgeo_geosane.collection import ManifestEntry
from torchgeo_geosane.collection.folders import FolderSource
from torchgeo_geosane.collection.gather import gather
from torchgeo_geosane.collection.sources import Sources

RNG = np.random.default_rng(0)
KERNEL = RNG.normal(size=(24, 3, 3, 3)).astype('f2')
MATRIX = RNG.normal(size=(5, 24)).astype('f4')


def network(kernel: npt.NDArray[np.float16], matrix: npt.NDArray[np.generic]) -> bytes:
    lite = Lite()
    start = lite.image(1, 8, 8, 3)
    options = {'Padding': SAME, 'StrideH': 2, 'StrideW': 2, 'FusedActivationFunction': RELU}
    blob = lite.run('CONV_2D', [start, lite.half(kernel)], (1, 4, 4, 24), **options)
    axes = lite.constant(np.array([1, 2], np.int32))
    blob = lite.run('MEAN', [blob, axes], (1, 24))
    blob = lite.run('FULLY_CONNECTED', [blob, lite.constant(matrix)], (1, 5))
    return lite.written([start], [blob])


@pytest.fixture
def collected(tmp_path: Path) -> dict[str, ManifestEntry]:
    order = RNG.permutation(24)
    near = KERNEL + RNG.normal(size=KERNEL.shape).astype('f2') / 100
    models = {
        'a': network(KERNEL, MATRIX),
        'b': network(near[order], MATRIX[:, order]),
        'c': network(KERNEL, MATRIX.astype(np.int8)),
    }
    folder = tmp_path / 'models'
    folder.mkdir()
    for name, content in models.items():
        (folder / f'{name}.tflite').write_bytes(content)
    sources = Sources(folders=(FolderSource(path=folder, licence='MIT'),))
    entries = gather(tmp_path / 'm.jsonl', sources, progress=False)
    return {Path(entry.file).stem: entry for entry in entries}


def test_units_come_into_one_order(collected: dict[str, ManifestEntry]) -> None:
    (moving,) = [each for each in collected.values() if each.alignment]
    assert {collected['a'].reference, collected['b'].reference} == {moving.reference}
    assert from_text(moving.alignment or '').after == pytest.approx(1, abs=0.01)


def test_quantised_networks_are_left_out(collected: dict[str, ManifestEntry]) -> None:
    assert collected['c'].skipped is not None
    assert "'linear1.weight' is int8: quantised weights are not read" in collected['c'].skipped
