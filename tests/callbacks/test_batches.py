from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st

from torchgeo_geosane.callbacks.batches import merged

SHAPES = st.sampled_from([(3, 4, 4), (3, 8, 4), (2, 3, 4, 4)])


@given(st.lists(st.tuples(st.integers(1, 5), SHAPES)), st.integers(1, 200))
def test_merged_batches_are_the_same_images(parts: Any, pixels: int) -> None:
    images = [torch.rand(count, *shape) for count, shape in parts]
    joined = list(merged(images, pixels))
    flat = [image for batch in images for image in batch]
    again = [image for batch in joined for image in batch]
    assert len(flat) == len(again)
    assert all(torch.equal(one, other) for one, other in zip(flat, again, strict=True))
    large = [batch.numel() // batch.shape[-3] > pixels for batch in joined]
    alone = [any(batch.shape == image.shape for image in images) for batch in joined]
    assert all(single for is_large, single in zip(large, alone, strict=True) if is_large)


def test_what_fits_is_joined() -> None:
    images = [torch.zeros(2, 1, 4, 4) for _ in range(5)]
    assert [len(batch) for batch in merged(images, 64)] == [4, 4, 2]
    assert [len(batch) for batch in merged(images)] == [10]
