"""Tasks that TorchGeo lacks, and those of it that do not take weights of others, or lose them."""

from contextlib import suppress

from torchgeo_geosane.tasks.detection import (
    GeoSANEInstanceSegmentationTask,
    GeoSANEObjectDetectionTask,
)
from torchgeo_geosane.tasks.geo_alignment import GeoAlignmentTask
from torchgeo_geosane.tasks.point import PointTask

__all__ = [
    'GeoAlignmentTask',
    'GeoSANEInstanceSegmentationTask',
    'GeoSANEObjectDetectionTask',
    'PointTask',
]

# Their names in earlier versions, by which configs still find them. The classes are not called so: a
# short class path such as `ObjectDetectionTask` stays TorchGeo's.
ObjectDetectionTask = GeoSANEObjectDetectionTask
InstanceSegmentationTask = GeoSANEInstanceSegmentationTask

with suppress(ImportError):  # TorchGeo 0.8 and 0.9 have no such task.
    from torchgeo_geosane.tasks.mae import MAETask

    __all__ += ['MAETask']
