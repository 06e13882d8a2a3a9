from collections.abc import Callable

import kornia.augmentation as K
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kornia.filters import median_blur
from torch import Tensor
from torch.nn import functional as F

from torchgeo_geosane.errors import TransformError
from torchgeo_geosane.transforms import (
    MedianFilter,
    RefinedLee,
    median_filter,
    refined_lee,
    to_decibel,
)

Filter = Callable[[Tensor], Tensor]
FILTERS = [lambda image: refined_lee(image, looks=4), median_filter]
MOVES: list[Filter] = [
    lambda image: image.flip(-1),
    lambda image: image.flip(-2),
    lambda image: image.rot90(1, (-2, -1)),
    lambda image: image.rot90(2, (-2, -1)),
    lambda image: image.transpose(-2, -1),
]
SEEDS = st.integers(0, 2**32 - 1)
each_filter = pytest.mark.parametrize('despeckle', FILTERS, ids=['refined_lee', 'median'])


def speckle(shape: tuple[int, ...], looks: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.zeros(looks, *shape).exponential_(generator=generator).mean(0)


def nodata(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.2


@pytest.mark.parametrize('looks', [1, 4, 16])
def test_flat_ground_is_averaged_over_half_a_window(looks: int) -> None:
    image = 0.1 * speckle((1, 1, 128, 128), looks)
    filtered = refined_lee(image, looks)
    # 28 pixels; what speckle adds by chance is taken for signal now and then.
    assert 12 < image.var() / filtered.var() < 28
    torch.testing.assert_close(filtered.mean(), image.mean(), rtol=0.03, atol=0)


@pytest.mark.parametrize('turn', [0, 1])
def test_edges_stay_sharper_than_under_a_box(turn: int) -> None:
    truth = torch.ones(1, 1, 64, 64)
    truth[..., 32:] = 10
    truth = truth.rot90(turn, (-2, -1))
    image = truth * speckle(truth.shape, looks=4)
    box = F.avg_pool2d(image, 7, stride=1, padding=3, count_include_pad=False)
    near = F.max_pool2d(truth, 7, 1, 3) != -F.max_pool2d(-truth, 7, 1, 3)
    errors = [((one - truth) / truth)[near].square().mean() for one in (refined_lee(image, 4), box)]
    assert errors[0] < errors[1] / 10


@pytest.mark.parametrize('move', MOVES)
@pytest.mark.parametrize('diagonal', [False, True])
def test_an_edge_without_speckle_is_not_blurred(diagonal: bool, move: Filter) -> None:
    image = torch.ones(1, 24, 24)
    image = move(1 + image.triu() if diagonal else torch.cat((image, 2 * image), -1))
    inside = (..., slice(3, -3), slice(3, -3))
    assert torch.equal(refined_lee(image, looks=4)[inside], image[inside])


def test_a_bright_point_remains() -> None:
    image = speckle((1, 32, 32), looks=4)
    image[0, 16, 16] = 500
    assert refined_lee(image, looks=4)[0, 16, 16] > 350


def test_fewer_looks_smooth_more() -> None:
    image = speckle((1, 64, 64), looks=4)
    assert refined_lee(image, 2).var() < refined_lee(image, 4).var() < refined_lee(image, 40).var()


@each_filter
@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, move=st.sampled_from(MOVES), holes=st.booleans())
def test_flips_and_rotations_commute(
    despeckle: Filter, seed: int, move: Filter, holes: bool
) -> None:
    image = speckle((2, 2, 17, 23), looks=3, seed=seed).double()
    if holes:
        image[nodata(image.shape, seed)] = torch.nan
    torch.testing.assert_close(move(despeckle(image)), despeckle(move(image)), equal_nan=True)


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.floats(1e-4, 1e4))
def test_brightness_scales(seed: int, factor: float) -> None:
    image = speckle((1, 12, 12), looks=4, seed=seed).double()
    torch.testing.assert_close(refined_lee(factor * image, 4), factor * refined_lee(image, 4))


@each_filter
@settings(max_examples=20, deadline=None)
@given(st.floats(1e-3, 1e3), st.integers(1, 12), st.integers(1, 12), SEEDS)
def test_constant_images_of_any_size_are_unchanged(
    despeckle: Filter, value: float, height: int, width: int, seed: int
) -> None:
    image = torch.full((1, height, width), value)
    image[nodata(image.shape, seed)] = torch.nan
    assert torch.equal(despeckle(image).nan_to_num(-1), image.nan_to_num(-1))


@each_filter
@pytest.mark.parametrize('value', [torch.nan, torch.inf, -torch.inf])
def test_nodata_stays_and_spoils_no_neighbour(
    despeckle: Filter, value: float, device: torch.device
) -> None:
    hole = nodata((2, 2, 20, 20), seed=1).to(device)
    whole = speckle(hole.shape, looks=4).to(device)
    filtered = despeckle(whole.masked_fill(hole, value))
    same = despeckle(whole.masked_fill(hole, torch.nan))
    assert torch.equal(filtered.isfinite(), ~hole)
    assert torch.equal(filtered[~hole], same[~hole])
    assert filtered[~hole].max() <= whole[~hole].max()
    assert not torch.allclose(filtered[~hole], whole[~hole])


@each_filter
def test_an_image_without_data_is_left_alone(despeckle: Filter) -> None:
    assert despeckle(torch.full((1, 9, 9), torch.nan)).isnan().all()


@each_filter
def test_images_and_bands_are_filtered_one_by_one(despeckle: Filter) -> None:
    images = speckle((3, 2, 16, 16), looks=4)
    alone = torch.stack([torch.cat([despeckle(band[None]) for band in image]) for image in images])
    assert torch.equal(despeckle(images), alone)


@each_filter
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_types_are_kept(despeckle: Filter, dtype: torch.dtype, device: torch.device) -> None:
    image = speckle((1, 16, 16), looks=16).to(device, dtype)
    filtered = despeckle(image)
    assert filtered.dtype == dtype
    assert filtered.device == image.device
    torch.testing.assert_close(filtered.float(), despeckle(image.float()), rtol=0.01, atol=0.001)


@each_filter
def test_gradients_are_finite_beside_nodata_and_on_flat_ground(despeckle: Filter) -> None:
    image = speckle((1, 16, 16), looks=4)
    image[:, :6] = 0
    image[:, 10] = torch.nan
    image.requires_grad_()
    despeckle(image).nan_to_num().sum().backward()
    assert image.grad is not None
    assert image.grad.isfinite().all()
    assert image.grad[0, 12:].abs().sum() > 0


def test_gradients_of_refined_lee_are_those_of_its_values() -> None:
    image = speckle((1, 9, 9), looks=4).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: refined_lee(x, 4), image)


def test_decibels_and_impossible_looks_are_refused() -> None:
    with pytest.raises(TransformError, match='convert them with to_linear first'):
        refined_lee(to_decibel(0.1 * speckle((1, 8, 8), looks=4)), looks=4)
    with pytest.raises(TransformError, match='number of looks is positive, not 0'):
        refined_lee(torch.ones(1, 8, 8), looks=0)


@pytest.mark.parametrize('size', [1, 3, 5, 7])
def test_median_is_kornias_where_all_is_data(size: int, device: torch.device) -> None:
    image = speckle((2, 2, 20, 20), looks=4).to(device)
    inside = (..., slice(3, -3), slice(3, -3))
    assert torch.equal(median_filter(image, size)[inside], median_blur(image, size)[inside])


@given(SEEDS)
@settings(max_examples=15, deadline=None)
def test_median_is_the_same_in_decibels(seed: int) -> None:
    image = speckle((1, 9, 9), looks=4, seed=seed)
    image[nodata(image.shape, seed)] = torch.nan
    filtered = [to_decibel(median_filter(image)), median_filter(to_decibel(image))]
    torch.testing.assert_close(*filtered, equal_nan=True)


@pytest.mark.parametrize('size', [0, -3, 4])
def test_a_median_of_an_even_size_is_refused(size: int) -> None:
    with pytest.raises(TransformError, match=f'not {size}'):
        median_filter(torch.ones(1, 8, 8), size)


def test_steps_are_the_functions() -> None:
    image = speckle((2, 1, 12, 12), looks=4)
    for step, expected in (
        (RefinedLee(4.4), refined_lee(image, 4.4)),
        (MedianFilter(5), median_filter(image, 5)),
    ):
        pipeline = K.AugmentationSequential(step, data_keys=None, keepdim=True)
        assert torch.equal(pipeline({'image': image})['image'], expected)
