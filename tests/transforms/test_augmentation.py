"""What the augmentations of radar and of multispectral images have in common, and each alone."""

import pickle
from collections.abc import Callable
from typing import Any

import kornia.augmentation as K
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from torchgeo_geosane.errors import TransformError
from torchgeo_geosane.transforms import (
    OnChannels,
    RandomBandDropout,
    RandomBandJitter,
    RandomDecibelJitter,
    RandomSpeckle,
    to_decibel,
    to_linear,
)

Make = Callable[..., K.IntensityAugmentationBase2D]
MAKE: dict[str, Make] = {
    'speckle_linear': lambda **options: RandomSpeckle(4, 'linear', **options),
    'speckle_dB': lambda **options: RandomSpeckle(4, 'dB', **options),
    'decibel_jitter_linear': lambda **options: RandomDecibelJitter(3, 'linear', **options),
    'decibel_jitter_dB': lambda **options: RandomDecibelJitter(3, 'dB', **options),
    'band_jitter': lambda **options: RandomBandJitter(0.3, 0.2, **options),
    'band_dropout': lambda **options: RandomBandDropout(0.5, fill=-1, **options),
    'on_channels': lambda **options: OnChannels(RandomBandJitter(0.3, 0.2, **options), [4, 0]),
}
each = pytest.mark.parametrize('make', MAKE.values(), ids=MAKE)


def pipeline(*steps: K.IntensityAugmentationBase2D) -> K.AugmentationSequential:
    """As TorchGeo's data modules make theirs."""
    return K.AugmentationSequential(*steps, data_keys=None, keepdim=True)


def batch(device: torch.device | str = 'cpu', images: int = 4) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    return {
        'image': torch.rand(images, 5, 8, 8, generator=generator).to(device),
        'mask': torch.randint(-1, 3, (images, 8, 8), generator=generator).to(device),
        'bbox_xyxy': torch.tensor([[[1.0, 2, 5, 6]]] * images, device=device),
    }


def drawn(augment: Callable[[Tensor], Tensor], image: Tensor, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    return augment(image)


@each
def test_images_change_and_labels_do_not(make: Make, device: torch.device) -> None:
    before = batch(device)
    torch.manual_seed(0)
    after = pipeline(K.RandomHorizontalFlip(p=0), make(p=1))(batch(device))
    assert not torch.equal(after['image'], before['image'])
    assert after['image'].shape == before['image'].shape
    assert after['image'].device == before['image'].device
    for labels in ('mask', 'bbox_xyxy'):
        assert torch.equal(after[labels], before[labels])
        assert after[labels].dtype == before[labels].dtype


@each
def test_the_seed_says_what_is_drawn(make: Make) -> None:
    augment, image = make(p=0.7), batch(images=16)['image']
    assert torch.equal(drawn(augment, image, 1), drawn(augment, image, 1))
    assert not torch.equal(drawn(augment, image, 1), drawn(augment, image, 2))


@each
def test_what_kornia_recorded_can_be_applied_again(make: Make) -> None:
    augment, image = make(p=0.5), batch(images=16)['image']
    assert torch.equal(augment(image), augment(image, params=augment._params))


@each
def test_every_image_has_a_draw_of_its_own(make: Make) -> None:
    image = batch(images=1)['image'].expand(6, -1, -1, -1)
    changed = drawn(make(p=1), image)
    # Two images may well lose the same of five bands.
    assert len({one.numpy().tobytes() for one in changed}) > 3
    shared = drawn(make(p=1, same_on_batch=True), image)
    assert len({one.numpy().tobytes() for one in shared}) == 1
    assert not torch.equal(shared, image)


@each
def test_p_is_the_share_of_images_that_change(make: Make) -> None:
    image = batch(images=200)['image']
    unchanged = (drawn(make(p=0.25), image) == image).flatten(1).all(1)
    # A dropout of no band leaves 0.5^5 of the chosen images as they are.
    assert 0.6 < unchanged.float().mean() < 0.9
    assert torch.equal(make(p=0)(image), image)


@each
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_types_are_kept(make: Make, dtype: torch.dtype, device: torch.device) -> None:
    image = batch(device)['image'].to(dtype)
    changed = pipeline(make(p=1))({'image': image})['image']
    assert changed.dtype == dtype
    assert changed.isfinite().all()


@each
def test_one_image_alone_and_nan(make: Make) -> None:
    image = batch()['image'][0]
    image[:, 3, 3] = torch.nan
    changed = drawn(make(p=1), image)
    assert changed.shape == image.shape
    dropped = (changed == -1).all((1, 2))
    assert torch.equal(changed[~dropped].isnan(), image[~dropped].isnan())


@each
def test_they_pickle_and_say_what_they_are(make: Make) -> None:
    augment, image = make(p=0.5), batch()['image']
    again = pickle.loads(pickle.dumps(augment))
    assert torch.equal(drawn(augment, image), drawn(again, image))
    assert 'p=0.5' in repr(again)


def test_the_global_random_state_is_left_alone_by_the_noise() -> None:
    step = RandomSpeckle(4, 'dB', p=1)
    image = batch()['image']
    states = []
    for size in (2, 8):
        torch.manual_seed(0)
        step(image[..., :size, :size])
        states.append(torch.get_rng_state())
    assert torch.equal(*states)


@pytest.mark.parametrize('looks', [1, 4, 16])
def test_speckle_has_mean_one_and_the_variance_of_its_looks(looks: int) -> None:
    noise = drawn(RandomSpeckle(looks, 'linear', p=1), torch.ones(2, 2, 128, 128))
    torch.testing.assert_close(noise.mean().item(), 1.0, atol=0.02, rtol=0)
    torch.testing.assert_close(noise.var().item() * looks, 1.0, atol=0.06, rtol=0)
    assert torch.corrcoef(noise.flatten(2).flatten(0, 1))[0, 1:].abs().max() < 0.05


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(['speckle', 'decibel_jitter']))
def test_linear_and_decibels_agree(seed: int, name: str) -> None:
    linear = 0.1 + batch()['image']
    in_linear = drawn(MAKE[f'{name}_linear'](p=1), linear, seed)
    in_decibel = drawn(MAKE[f'{name}_dB'](p=1), to_decibel(linear), seed)
    torch.testing.assert_close(to_linear(in_decibel), in_linear, rtol=1e-4, atol=1e-5)


def test_decibel_jitter_shifts_whole_bands_within_its_spread() -> None:
    image = torch.zeros(64, 2, 4, 4)
    shifts = drawn(RandomDecibelJitter(1.5, 'dB', p=1), image)
    assert (shifts == shifts[..., :1, :1]).all()
    assert 1.3 < shifts.abs().max() <= 1.5
    assert (shifts[:, 0] != shifts[:, 1]).any()


def test_band_jitter_is_a_gain_and_an_offset_for_each_band() -> None:
    image = torch.rand(64, 3, 4, 4)
    changed = drawn(RandomBandJitter(0.3, 0.2, p=1), image).flatten(2)
    x, y = image.flatten(2), changed
    gain = (y[..., 1] - y[..., 0]) / (x[..., 1] - x[..., 0])
    offset = y[..., 0] - gain * x[..., 0]
    torch.testing.assert_close(gain[..., None] * x + offset[..., None], y, atol=1e-3, rtol=1e-3)
    assert 0.69 < gain.min() < 0.75
    assert 1.25 < gain.max() < 1.31
    assert offset.abs().max() < 0.21


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 1), st.integers(1, 6), st.integers(0, 2**32))
def test_dropout_keeps_whole_bands_and_at_least_one(rate: float, bands: int, seed: int) -> None:
    image = 1 + torch.rand(8, bands, 3, 3)
    changed = drawn(RandomBandDropout(rate, fill=-7, p=1), image, seed)
    kept = (changed == image).all((2, 3))
    assert torch.equal(kept, ~(changed == -7).all((2, 3)))
    assert kept.any(1).all()


def test_each_band_is_dropped_at_the_rate() -> None:
    dropped = drawn(RandomBandDropout(0.3, p=1), torch.ones(2000, 6, 1, 1)) == 0
    torch.testing.assert_close(
        dropped.float().mean((0, 2, 3)), torch.full((6,), 0.3), atol=0.04, rtol=0
    )


def test_other_channels_pass_and_those_named_see_what_the_step_alone_would_do() -> None:
    image = 0.1 + batch(images=16)['image']
    step = RandomSpeckle(4, 'linear', p=0.5)
    changed = drawn(OnChannels(step, [3, 1]), image)
    assert torch.equal(changed[:, [0, 2, 4]], image[:, [0, 2, 4]])
    assert torch.equal(changed[:, [3, 1]], drawn(step, image[:, [3, 1]]))
    assert not torch.equal(changed[:, [3, 1]], image[:, [3, 1]])


def test_a_channel_that_the_image_lacks_is_named() -> None:
    with pytest.raises(TransformError, match='no channel 5 in an image of 5'):
        OnChannels(RandomBandJitter(p=1), [5])(batch()['image'])


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: OnChannels(RandomBandJitter(), []), 'name each once'),
        (lambda: OnChannels(RandomBandJitter(), [-1]), 'name each once'),
        (lambda: OnChannels(RandomBandJitter(), [1, 1]), 'name each once'),
        (lambda: RandomSpeckle(4, 'db'), "unknown units 'db': did you mean 'dB'"),
        (lambda: RandomDecibelJitter(1, 'watt'), "unknown units 'watt'; known: 'dB', 'linear'"),
        (lambda: RandomSpeckle(0, 'dB'), 'at least 1, not 0'),
        (lambda: RandomSpeckle(4.4, 'dB'), 'a whole number of looks, at least 1, not 4.4'),
        (lambda: RandomDecibelJitter(-1, 'dB'), 'at least 0 dB, not -1'),
        (lambda: RandomBandJitter(-0.1), 'at least 0, not -0.1'),
        (lambda: RandomBandDropout(20), 'between 0 and 1, not 20'),
    ],
)
def test_impossible_parameters_are_refused(make: Make, message: str) -> None:
    with pytest.raises(TransformError, match=message):
        make()
