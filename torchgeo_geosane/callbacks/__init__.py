"""Callbacks for TorchGeo's tasks. Naming one in a config also registers the weights."""

from torchgeo_geosane.callbacks.bands import CheckBands
from torchgeo_geosane.callbacks.batch_norm import ConditionBatchNorm
from torchgeo_geosane.callbacks.candidates import SelectCandidates
from torchgeo_geosane.callbacks.channels_last import ChannelsLast
from torchgeo_geosane.callbacks.checkpointing import GradientCheckpointing
from torchgeo_geosane.callbacks.distil import Distil
from torchgeo_geosane.callbacks.map_metrics import MapMetrics
from torchgeo_geosane.callbacks.mean_iou import MeanIoU
from torchgeo_geosane.callbacks.segmentation_figure import SegmentationFigure
from torchgeo_geosane.callbacks.write_raster import WriteRaster

__all__ = [
    'ChannelsLast',
    'CheckBands',
    'ConditionBatchNorm',
    'Distil',
    'GradientCheckpointing',
    'MapMetrics',
    'MeanIoU',
    'SegmentationFigure',
    'SelectCandidates',
    'WriteRaster',
]
