"""TorchGeo's detection tasks, whose backbone starts from generated weights and may be any of timm's.

TorchGeo hands `weights` to torchvision, which takes only its own; TorchGeo 0.8 takes whatever it is
given for ImageNet's.
"""

from collections.abc import Callable, Collection

from torchvision.models._api import WeightsEnum

from torchgeo_geosane.errors import ArchitectureError
from torchgeo_geosane.providers.catalog import find_spec, is_name
from torchgeo_geosane.tasks.backbone import build_backbone
from torchgeo_geosane.tasks.start import Weights, find_start
from torchgeo_geosane.tasks.versions import (
    DETECTION_RESNETS,
    InstanceSegmentation,
    ObjectDetection,
    asking_for,
)

_TRAINABLE_LAYERS = 3


class GeoSANEObjectDetectionTask(ObjectDetection):
    """Object detection with generated weights in the backbone.

    All else is as in TorchGeo's task of this name.

    Args:
        model: ``faster-rcnn``, ``fcos`` or ``retinanet``.
        backbone: A ResNet that TorchGeo's task knows, or any timm architecture, also as a name of
            ours (``geosane_convnext_tiny.sentinel2_all``).
        weights: A member, a name, a URL, or the path of a checkpoint: weights of ours, or of
            TorchGeo for the same architecture. True: those of the backbone's name, if it is one of
            ours; else what TorchGeo takes, or timm's own.
        in_channels: The number of input channels: the bands that the weights are for.
        num_classes: The number of classes, the background included.
        trainable_layers: How many of a ResNet's five groups of layers learn, from the last.
        lr: The learning rate.
        patience: Epochs without progress until the learning rate sinks.
        freeze_backbone: Whether the backbone stays as it is.

    Raises:
        ArchitectureError: If weights, backbone and channels contradict each other, or the
            architecture cannot be a detector's backbone.
        GeoSANEError: If the weights cannot be had.
    """

    # TorchGeo 0.8 would write the weights into the checkpoint.
    ignore = 'weights'

    def __init__(
        self,
        model: str = 'faster-rcnn',
        backbone: str = 'resnet50',
        weights: Weights = None,
        in_channels: int = 3,
        num_classes: int = 1000,
        trainable_layers: int = _TRAINABLE_LAYERS,
        lr: float = 1e-3,
        patience: int = 10,
        freeze_backbone: bool = False,
    ) -> None:
        self.weights = weights
        super().__init__(
            model,
            backbone,
            weights,
            in_channels,
            num_classes,
            trainable_layers,
            lr,
            patience,
            freeze_backbone,
        )

    def configure_models(self) -> None:
        """Build the detector and load the weights."""
        _configure(self, super().configure_models, DETECTION_RESNETS, stand_in='resnet18')


class GeoSANEInstanceSegmentationTask(InstanceSegmentation):
    """Instance segmentation with generated weights in the backbone.

    All else is as in TorchGeo's task of this name.

    Args:
        model: ``mask-rcnn``.
        backbone: ``resnet50``, or any timm architecture, also as a name of ours.
        weights: As for :class:`GeoSANEObjectDetectionTask`: those of the backbone.
        in_channels: The number of input channels: the bands that the weights are for.
        num_classes: The number of classes, the background included.
        lr: The learning rate.
        patience: Epochs without progress until the learning rate sinks.
        freeze_backbone: Whether the backbone stays as it is.

    Raises:
        ArchitectureError: If weights, backbone and channels contradict each other, or the
            architecture cannot be a detector's backbone.
        GeoSANEError: If the weights cannot be had.
    """

    ignore = ('weights', 'weights_backbone')

    def __init__(
        self,
        model: str = 'mask-rcnn',
        backbone: str = 'resnet50',
        weights: Weights = None,
        in_channels: int = 3,
        num_classes: int = 91,
        lr: float = 1e-3,
        patience: int = 10,
        freeze_backbone: bool = False,
    ) -> None:
        self.weights = weights
        # TorchGeo 0.10 has one argument more in between: weights_backbone.
        super().__init__(
            model=model,
            backbone=backbone,
            weights=weights,
            in_channels=in_channels,
            num_classes=num_classes,
            lr=lr,
            patience=patience,
            freeze_backbone=freeze_backbone,
        )

    def configure_models(self) -> None:
        """Build the detector and load the weights."""
        _configure(self, super().configure_models, ('resnet50',), stand_in='resnet50')


def _configure(
    task: GeoSANEObjectDetectionTask | GeoSANEInstanceSegmentationTask,
    build: Callable[[], None],
    resnets: Collection[str],
    stand_in: str,
) -> None:
    """Let TorchGeo build a task's model, and give it the backbone and the weights asked for.

    Args:
        task: With its hyper-parameters and ``weights``.
        build: TorchGeo's ``configure_models``.
        resnets: The backbones that TorchGeo builds.
        stand_in: The one that it builds where another architecture is to take its place. Heads and
            anchors depend on the pyramid's channels and levels alone, which are the same for all:
            so they are TorchGeo's, whatever its version.
    """
    asked, in_channels = task.hparams['backbone'], task.hparams['in_channels']
    weights: Weights = task.weights
    architecture = find_spec(asked).architecture if is_name(asked) else asked
    start = find_start(weights, asked)
    if start is not None:
        start.check(architecture, in_channels)
    if architecture in resnets:
        with asking_for(task, architecture, weights if start is None else None):
            build()
    else:
        _check_timm(task, architecture, weights if start is None else None)
        with asking_for(task, stand_in, None):
            build()
        task.model.backbone = build_backbone(
            architecture,
            in_channels,
            pretrained=start is None and weights is True,
            extra_blocks=task.model.backbone.fpn.extra_blocks,
        )
    body = task.model.backbone.body
    if start is not None:
        start.load_into(body)
    # TorchGeo replaces the stem after it has frozen the backbone, so that it learns.
    stem_is_new = architecture in resnets and start is None
    if task.hparams['freeze_backbone'] and not stem_is_new:
        body.requires_grad_(False)


def _check_timm(
    task: GeoSANEObjectDetectionTask | GeoSANEInstanceSegmentationTask,
    architecture: str,
    weights: Weights,
) -> None:
    """Make sure that the task asks nothing of a timm architecture that only ResNets can do."""
    if isinstance(weights, WeightsEnum):
        raise ArchitectureError(
            f'{weights} are torchvision’s for its own ResNets, but the backbone is {architecture!r}: '
            'set weights: true for timm’s own'
        )
    layers = task.hparams.get('trainable_layers', _TRAINABLE_LAYERS)
    if layers != _TRAINABLE_LAYERS:
        raise ArchitectureError(
            f'trainable_layers={layers} counts the layers of a ResNet of torchvision, '
            f'but the backbone is {architecture!r}, of timm: leave it out; all layers learn, '
            'or none with freeze_backbone: true'
        )
