import kornia.augmentation as K
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torchgeo_geosane.errors import TransformError
from torchgeo_geosane.transforms import Clip, ToDecibel, ToLinear, to_decibel, to_linear

DECIBELS = st.lists(st.floats(-59, 60), min_size=1)


@given(DECIBELS)
def test_decibels_come_back_from_power(values: list[float]) -> None:
    decibel = torch.tensor(values, dtype=torch.float64)
    torch.testing.assert_close(to_decibel(to_linear(decibel)), decibel)


@given(DECIBELS)
def test_power_comes_back_from_decibels(values: list[float]) -> None:
    linear = 10 ** (torch.tensor(values, dtype=torch.float64) / 10)
    torch.testing.assert_close(to_linear(to_decibel(linear)), linear)


def test_known_values(device: torch.device) -> None:
    linear = torch.tensor([1.0, 10.0, 0.1, 0.001, 2.0], device=device)
    expected = torch.tensor([0.0, 10.0, -10.0, -30.0, 3.0103], device=device)
    torch.testing.assert_close(to_decibel(linear), expected)


def test_what_has_no_logarithm_is_the_floor_and_nan_stays() -> None:
    linear = torch.tensor([0.0, -0.3, 1e-9, torch.nan], requires_grad=True)
    decibel = to_decibel(linear, floor=-50)
    torch.testing.assert_close(decibel[:3], torch.full((3,), -50.0))
    assert decibel[3].isnan()
    decibel[:3].sum().backward()
    assert linear.grad is not None
    assert linear.grad[:3].tolist() == [0, 0, 0]


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_types_are_kept(dtype: torch.dtype) -> None:
    decibel = torch.tensor([-12.0, -20.0], dtype=dtype)
    back = to_decibel(to_linear(decibel))
    assert back.dtype == dtype
    torch.testing.assert_close(back, decibel, rtol=0.01, atol=0)


@pytest.mark.parametrize(
    ('low', 'high', 'formula'),
    [
        (-50, 1, lambda x: (x.clip(-50, 1) + 50) / 51),  # Sen1Floods11
        (-25, 0, lambda x: x.clip(-25, 0) / 25 + 1),  # DFC2020
    ],
)
def test_published_scalings_are_compositions(low: float, high: float, formula) -> None:
    image = torch.linspace(-70, 20, 2 * 2 * 8 * 8).reshape(2, 2, 8, 8)
    scale = K.AugmentationSequential(
        Clip(low, high), K.Normalize(mean=low, std=high - low), data_keys=None, keepdim=True
    )
    torch.testing.assert_close(scale({'image': image})['image'], formula(image))


def test_steps_are_the_functions_and_leave_masks_alone(device: torch.device) -> None:
    batch = {
        'image': torch.rand(2, 2, 8, 8, device=device),
        'mask': torch.randint(-1, 2, (2, 8, 8), device=device),
    }
    there = K.AugmentationSequential(ToDecibel(floor=-10), data_keys=None, keepdim=True)
    back = K.AugmentationSequential(ToLinear(), data_keys=None, keepdim=True)
    decibel = there(dict(batch))
    assert torch.equal(decibel['image'], to_decibel(batch['image'], floor=-10))
    assert torch.equal(decibel['mask'], batch['mask'])
    assert torch.equal(back(decibel)['image'], to_linear(decibel['image']))


def test_a_step_takes_one_image_and_shows_its_options() -> None:
    clip = Clip(-25, 0)
    assert clip(torch.full((2, 3, 3), -90.0)).tolist() == torch.full((2, 3, 3), -25.0).tolist()
    assert 'min=-25, max=0' in repr(clip)


def test_an_empty_range_is_refused() -> None:
    with pytest.raises(TransformError, match=r'cannot clip to 0…-25'):
        Clip(0, -25)
