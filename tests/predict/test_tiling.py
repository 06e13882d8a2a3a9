import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchgeo_geosane.errors import DataError
from torchgeo_geosane.predict.tiling import Axis, Tiling


@st.composite
def axes(draw: st.DrawFn) -> Axis:
    size = draw(st.integers(1, 40))
    return Axis(draw(st.integers(1, 150)), size, draw(st.integers(0, size // 2)))


@given(axes())
def test_weights_sum_to_one_at_every_pixel(axis: Axis) -> None:
    total = np.zeros(axis.length)
    for number, weights in enumerate(axis.weights):
        at = axis.starts[number] + np.arange(axis.size)
        inside = (at >= 0) & (at < axis.length)
        np.add.at(total, at[inside], weights[inside])
    np.testing.assert_allclose(total, 1, atol=1e-5)


@given(axes())
def test_windows_advance_by_a_stride_and_none_is_needless(axis: Axis) -> None:
    strides = set(np.diff(axis.starts).tolist())
    assert strides <= {axis.size - axis.overlap}
    covered = axis.starts[-1] + axis.size
    assert axis.starts[0] <= -(axis.overlap // 2)
    assert covered >= axis.length + axis.overlap // 2
    if len(axis.starts) > 1:
        beyond = -axis.starts[0] + covered - axis.length
        assert beyond < axis.size - axis.overlap + 2 * (axis.overlap // 2)


@given(axes())
def test_beyond_the_edges_pixels_are_mirrored(axis: Axis) -> None:
    values = np.arange(axis.length)
    far = axis.size + 1
    mirrored = np.pad(values, far, mode='reflect' if axis.length > 1 else 'edge')
    for number, start in enumerate(axis.starts):
        expected = mirrored[far + start : far + start + axis.size]
        np.testing.assert_array_equal(axis.reflected(number), expected)
        inside = axis.inside(number)
        assert start <= inside.start < inside.stop <= start + axis.size


def test_what_a_model_sees_at_a_windows_edge_does_not_count() -> None:
    middle = Axis(400, 64, 32).weights[3]
    assert (middle[:8] == 0).all()
    assert (middle[-8:] == 0).all()
    assert (middle[24:40] == 1).all()


@pytest.mark.parametrize(('size', 'overlap'), [(32, 17), (0, 0), (32, -1), (8, 8)])
def test_windows_that_do_not_advance_are_refused(size: int, overlap: int) -> None:
    with pytest.raises(DataError, match='at most half'):
        Tiling(100, 100, size, overlap)


def test_runs_cover_each_window_once() -> None:
    tiling = Tiling(100, 130, 32, 8)
    found = [(row, column) for row, columns in tiling.runs(3) for column in columns]
    assert len(found) == len(set(found)) == len(tiling)
    assert found == sorted(found)
