"""Reading, predicting and blending: the same as one look at the whole scene."""

from pathlib import Path

import numpy as np
import pytest
import torch
from fits import scene_of, scene_values, write_scene
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from torchgeo_geosane.errors import DataError
from torchgeo_geosane.predict.ahead import ahead
from torchgeo_geosane.predict.blending import Blender
from torchgeo_geosane.predict.inference import strips
from torchgeo_geosane.predict.tiling import Tiling


@st.composite
def tilings(draw: st.DrawFn) -> Tiling:
    size = draw(st.integers(2, 24))
    height, width = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    return Tiling(height, width, size, draw(st.integers(0, size // 2)))


def joined(found: list, height: int) -> tuple[Tensor, Tensor]:
    """Strips as one, having checked that each row comes once and in order."""
    first = 0
    for strip in found:
        assert strip.first == first
        first += strip.values.shape[1]
    assert first == height
    return torch.cat([s.values for s in found], 1), torch.cat([s.known for s in found], 0)


@given(tilings(), st.randoms(use_true_random=False))
def test_what_windows_copy_is_the_scene(tiling: Tiling, random) -> None:
    scene = torch.from_numpy(
        np.random.default_rng(random.randrange(2**32)).normal(size=(2, tiling.height, tiling.width))
    ).float()
    known = scene[0] > -1
    blender, found = Blender(tiling, 2), []
    for row in range(len(tiling.down.starts)):
        for column in range(len(tiling.across.starts)):
            rows, columns = tiling.down.reflected(row), tiling.across.reflected(column)
            window = scene[:, rows[:, None], columns]
            seen = known[rows[:, None], columns]
            if seen.any():
                found += blender.add(row, column, window, seen)
    found += blender.finish()
    values, where = joined(found, tiling.height)
    assert torch.equal(where, known)
    torch.testing.assert_close(values[:, known], scene[:, known], atol=1e-4, rtol=1e-4)


def untiled(network: nn.Module, image: Tensor, context: int) -> Tensor:
    padded = F.pad(image[None], (context,) * 4, mode='reflect')
    with torch.inference_mode():
        return network(padded)[0, :, context:-context, context:-context]


@pytest.mark.parametrize('shape', [(100, 150), (64, 64), (20, 200), (17, 9)])
def test_no_seams_where_the_model_does_not_depend_on_the_place(
    tmp_path: Path, shape: tuple[int, int]
) -> None:
    """Windows whose context is as wide as the model sees give what one window over all gives."""
    values = scene_values(*shape)
    scene = scene_of(write_scene(tmp_path / 'scene.tif', values))
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(4, 5, 5, padding=2), nn.ReLU(), nn.Conv2d(5, 3, 5, padding=2))
    expected = untiled(network, torch.from_numpy(values.astype(np.float32)), 8)

    def predict(images: Tensor) -> tuple[Tensor, Tensor]:
        with torch.inference_mode():
            return network(images.float()), torch.ones(len(images), *images.shape[-2:]).bool()

    tiling = Tiling(*shape, 48, 20)
    found = list(strips(predict, scene, tiling, batch=3))
    values_seen, known = joined(found, shape[0])
    assert known.all()
    torch.testing.assert_close(values_seen, expected, atol=1e-2, rtol=1e-4)


def test_without_overlap_there_are_seams(tmp_path: Path) -> None:
    """The test above can fail."""
    values = scene_values(100, 100)
    scene = scene_of(write_scene(tmp_path / 'scene.tif', values))
    network = nn.Conv2d(4, 1, 5, padding=2)
    expected = untiled(network, torch.from_numpy(values.astype(np.float32)), 8)

    def predict(images: Tensor) -> tuple[Tensor, Tensor]:
        with torch.inference_mode():
            return network(images.float()), torch.ones(len(images), *images.shape[-2:]).bool()

    seen, _ = joined(list(strips(predict, scene, Tiling(100, 100, 25, 0), 4)), 100)
    assert (seen - expected).abs().max() > 10


def test_windows_without_data_are_not_predicted(tmp_path: Path) -> None:
    values = scene_values(96, 96)
    values[:, :, 40:] = 0
    scene = scene_of(write_scene(tmp_path / 'scene.tif', values))
    seen = []

    def predict(images: Tensor) -> tuple[Tensor, Tensor]:
        known = ~torch.isnan(images.float()).any(1)
        seen.extend(known)
        return torch.nan_to_num(images.float()), known

    tiling = Tiling(96, 96, 16, 4)
    found, known = joined(list(strips(predict, scene, tiling, 5)), 96)
    assert all(each.any() for each in seen)
    assert len(seen) < len(tiling)
    assert torch.equal(known, torch.from_numpy(values[0] != 0))
    expected = torch.from_numpy(values.astype(np.float32))
    torch.testing.assert_close(found[:, known], expected[:, known], atol=1e-1, rtol=1e-4)


@settings(max_examples=20)
@given(st.integers(0, 12), st.integers(0, 4))
def test_work_ahead_keeps_the_order(count: int, most: int) -> None:
    taken: list[int] = []

    def items():
        for number in range(count):
            taken.append(number)
            yield number

    for at, result in enumerate(ahead(lambda x: x * x, items(), most)):
        assert result == at * at
        assert len(taken) <= at + 1 + most
    assert taken == list(range(count))


def test_an_error_of_the_work_is_raised_in_its_place() -> None:
    def work(number: int) -> int:
        if number == 2:
            raise DataError('two')
        return number

    results = ahead(work, range(100))
    assert next(results) == 0
    assert next(results) == 1
    with pytest.raises(DataError, match='two'):
        next(results)
