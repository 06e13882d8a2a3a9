"""TorchGeo's tasks, alike on every version; the only file here that knows of two."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from lightning.pytorch import LightningModule

try:
    from torchgeo.tasks import BaseTask, InstanceSegmentation, ObjectDetection
    from torchgeo.tasks.detection import BACKBONE_LAT_DIM_MAP
    from torchgeo.tasks.utils import extract_backbone
except ImportError:  # TorchGeo 0.8 and 0.9
    from torchgeo.trainers import BaseTask  # type: ignore[attr-defined,unused-ignore]
    from torchgeo.trainers import InstanceSegmentationTask as InstanceSegmentation
    from torchgeo.trainers import ObjectDetectionTask as ObjectDetection
    from torchgeo.trainers.detection import (  # type: ignore[no-redef,unused-ignore]
        BACKBONE_LAT_DIM_MAP,
    )
    from torchgeo.trainers.utils import (  # type: ignore[no-redef,unused-ignore]
        extract_backbone,
    )

__all__ = [
    'DETECTION_RESNETS',
    'BaseTask',
    'InstanceSegmentation',
    'ObjectDetection',
    'asking_for',
    'extract_backbone',
]

DETECTION_RESNETS = frozenset(BACKBONE_LAT_DIM_MAP)


@contextmanager
def asking_for(task: LightningModule, backbone: str, weights: Any) -> Iterator[None]:
    """Let TorchGeo build a task as if it had been given another backbone and other weights.

    TorchGeo 0.8 reads the weights from the hyper-parameters, 0.10 from the attribute.
    """
    asked = {'backbone': backbone, 'weights': weights}
    with patch.dict(task.hparams, asked), patch.object(task, 'weights', weights):
        yield
