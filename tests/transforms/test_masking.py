import pickle

import kornia.augmentation as K
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from torchgeo_geosane.errors import TransformError
from torchgeo_geosane.transforms import (
    MaskNodata,
    PixelFlag,
    SceneClass,
    fill_pixels,
    is_nodata,
    obscured_landsat,
    obscured_sentinel2,
)

NAN = torch.nan


def test_a_nan_in_one_band_spoils_the_pixel() -> None:
    image = torch.tensor([[[1.0, NAN, 3]], [[NAN, NAN, 0]]])
    assert is_nodata(image).tolist() == [[[True, True, False]]]


def test_a_number_has_to_be_in_all_bands() -> None:
    image = torch.tensor([[[1.0, 0, 0]], [[0, 0, NAN]]])
    assert is_nodata(image, nodata=0).tolist() == [[[False, True, False]]]


@pytest.mark.parametrize('dtype', [torch.uint8, torch.int64, torch.float32, torch.bfloat16])
def test_scene_classes(dtype: torch.dtype, device: torch.device) -> None:
    scl = torch.arange(12, dtype=dtype, device=device)
    assert obscured_sentinel2(scl).nonzero().flatten().tolist() == [0, 1, 3, 8, 9, 10]
    chosen = obscured_sentinel2(scl, [SceneClass.WATER, SceneClass.SNOW])
    assert chosen.nonzero().flatten().tolist() == [6, 11]


# Values that USGS's guide to Collection 2 explains, and what they mean.
LANDSAT = {
    1: True,  # fill
    21824: False,  # clear, low confidences of all else
    21890: True,  # dilated cloud over water
    21952: False,  # clear water
    22280: True,  # cloud, high confidence
    23888: True,  # cloud shadow
    30048: False,  # snow
    54596: True,  # cirrus, high confidence
    55052: True,  # cirrus and cloud
}


@pytest.mark.parametrize('dtype', [torch.int32, torch.int64, torch.uint16, torch.float32])
def test_landsat_bits(dtype: torch.dtype, device: torch.device) -> None:
    qa = torch.tensor(list(LANDSAT)).to(device, dtype)
    assert obscured_landsat(qa).tolist() == list(LANDSAT.values())
    assert obscured_landsat(qa, PixelFlag.SNOW).nonzero().flatten().tolist() == [6]


@given(st.integers(0, 2**16 - 1), st.sampled_from(list(PixelFlag)))
def test_every_flag_is_its_bit(value: int, flag: PixelFlag) -> None:
    assert obscured_landsat(torch.tensor([value]), flag).item() == bool(value & flag)


def test_nan_is_no_bit_and_rounded_bits_are_refused() -> None:
    everything = ~PixelFlag(0)
    assert obscured_landsat(torch.tensor([NAN, 1.0]), everything).tolist() == [False, True]
    with pytest.raises(TransformError, match=r'torch\.bfloat16 has rounded'):
        obscured_landsat(torch.tensor([22280.0], dtype=torch.bfloat16))


@pytest.mark.parametrize('batch', [(), (3,)])
@pytest.mark.parametrize('channel', [(), (1,)])
def test_pixels_are_filled_and_ignored(
    batch: tuple[int, ...], channel: tuple[int, ...], device: torch.device
) -> None:
    image = torch.rand(*batch, 2, 4, 5, device=device)
    mask = torch.randint(0, 3, (*batch, *channel, 4, 5), device=device)
    where = torch.rand(*batch, 1, 4, 5, device=device) < 0.5
    sample = {'image': image, 'mask': mask, 'crs': 'EPSG:4326'}
    filled = fill_pixels(sample, where, ignore_index=255, fill=-1)
    assert torch.equal(filled['image'], torch.where(where, -1, image))
    assert torch.equal(filled['mask'], torch.where(where.reshape(mask.shape), 255, mask))
    assert filled['mask'].dtype == torch.int64
    assert filled['crs'] == 'EPSG:4326'
    assert sample['image'] is image
    assert sample['mask'] is mask


def test_a_sample_without_labels() -> None:
    filled = fill_pixels({'image': torch.ones(1, 2, 2)}, torch.ones(1, 2, 2).bool(), 255)
    assert filled.keys() == {'image'}
    assert filled['image'].sum() == 0


@pytest.mark.parametrize(
    ('where', 'mask'), [((1, 4, 4), (5, 4)), ((1, 5, 4), (4, 4)), ((4, 4), (4, 4))]
)
def test_shapes_that_do_not_agree_are_named(where: tuple[int, ...], mask: tuple[int, ...]) -> None:
    sample = {'image': torch.ones(2, 4, 4), 'mask': torch.ones(mask)}
    with pytest.raises(TransformError, match=r"'image': \(2, 4, 4\).* cannot be filled"):
        fill_pixels(sample, torch.ones(where).bool(), 255)


def test_before_a_pipeline_and_in_a_worker(device: torch.device) -> None:
    """A NaN that reached the loss would end the training."""
    image = torch.rand(2, 2, 8, 8, device=device)
    image[:, 1, 2, 3] = NAN
    batch = {'image': image, 'mask': torch.ones(2, 8, 8, dtype=torch.long, device=device)}
    augment = nn.Sequential(
        K.AugmentationSequential(K.Normalize(0.5, 0.2), data_keys=None, keepdim=True),
        pickle.loads(pickle.dumps(MaskNodata(ignore_index=-1))),
    )
    masked = augment(batch)
    assert masked['image'][:, :, 2, 3].abs().sum() == 0
    assert masked['image'].isfinite().all()
    assert (masked['mask'] == -1).nonzero().tolist() == [[0, 2, 3], [1, 2, 3]]
    assert 'ignore_index=-1, nodata=nan, fill=0.0' in repr(augment)
