"""Tasks of TorchGeo's that do not take weights of others, or do not keep them."""

from contextlib import suppress

from torchgeo_geosane.tasks.detection import InstanceSegmentationTask, ObjectDetectionTask

__all__ = ['InstanceSegmentationTask', 'ObjectDetectionTask']

with suppress(ImportError):  # TorchGeo 0.8 and 0.9 have no such task.
    from torchgeo_geosane.tasks.mae import MAETask

    __all__ += ['MAETask']
