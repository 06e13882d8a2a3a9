"""Transforms of batches of images, as functions and as steps of kornia's pipelines.

Images are float tensors [B, C, H, W] or [C, H, W], on any device.
"""

from torchgeo_geosane.transforms.channels import OnChannels
from torchgeo_geosane.transforms.decibel import Clip, ToDecibel, ToLinear, to_decibel, to_linear
from torchgeo_geosane.transforms.indices import (
    AppendRatio,
    append_ndvi,
    append_ndwi,
    append_vv_vh_ratio,
)
from torchgeo_geosane.transforms.masking import (
    MaskNodata,
    PixelFlag,
    SceneClass,
    fill_pixels,
    is_nodata,
    obscured_landsat,
    obscured_sentinel2,
)
from torchgeo_geosane.transforms.multispectral import RandomBandDropout, RandomBandJitter
from torchgeo_geosane.transforms.sar import RandomDecibelJitter, RandomSpeckle
from torchgeo_geosane.transforms.speckle import (
    MedianFilter,
    RefinedLee,
    median_filter,
    refined_lee,
)

__all__ = [
    'AppendRatio',
    'Clip',
    'MaskNodata',
    'MedianFilter',
    'OnChannels',
    'PixelFlag',
    'RandomBandDropout',
    'RandomBandJitter',
    'RandomDecibelJitter',
    'RandomSpeckle',
    'RefinedLee',
    'SceneClass',
    'ToDecibel',
    'ToLinear',
    'append_ndvi',
    'append_ndwi',
    'append_vv_vh_ratio',
    'fill_pixels',
    'is_nodata',
    'median_filter',
    'obscured_landsat',
    'obscured_sentinel2',
    'refined_lee',
    'to_decibel',
    'to_linear',
]
