import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchgeo_geosane.foundry.windows import batches, plan_windows

sequences = st.integers(1, 3000)
sizes = st.integers(1, 600)
halos = st.integers(0, 100)


@given(sequences, sizes, halos)
def test_cores_partition_the_sequence_inside_equal_contexts(n: int, size: int, halo: int) -> None:
    windows = plan_windows(n, size, halo)
    reached = 0
    for window in windows:
        assert window.core_start == reached < window.core_stop
        assert 0 <= window.start <= window.core_start
        assert window.core_stop <= window.stop <= n
        # The halo is there wherever the sequence has it.
        assert window.core_start - window.start >= min(halo, window.core_start)
        assert window.stop - window.core_stop >= min(halo, n - window.core_stop)
        reached = window.core_stop
    assert reached == n
    assert {window.stop - window.start for window in windows} == {min(size + 2 * halo, n)}


@given(sequences, sizes, halos, st.integers(1, 9))
def test_batches_keep_order(n: int, size: int, halo: int, batch: int) -> None:
    windows = plan_windows(n, size, halo)
    grouped = list(batches(windows, batch))
    assert [window for group in grouped for window in group] == windows
    assert all(len(group) == batch for group in grouped[:-1])


def test_a_short_sequence_is_one_window() -> None:
    (window,) = plan_windows(7, 512, 64)
    assert (window.start, window.stop, window.core) == (0, 7, slice(0, 7))


@pytest.mark.parametrize(('size', 'halo'), [(0, 0), (1, -1)])
def test_absurd_sizes(size: int, halo: int) -> None:
    with pytest.raises(ValueError, match='size >= 1'):
        plan_windows(10, size, halo)
