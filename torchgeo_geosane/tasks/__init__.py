"""Tasks: TorchGeo's detection and instance segmentation, which take no weights of others."""

from torchgeo_geosane.tasks.detection import InstanceSegmentationTask, ObjectDetectionTask

__all__ = ['InstanceSegmentationTask', 'ObjectDetectionTask']
