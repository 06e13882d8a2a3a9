"""A value or a class at a point inside an image: field plots, species, prices."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy
from torchmetrics.regression import MeanSquaredError, R2Score

from torchgeo_geosane.errors import SpecError, did_you_mean
from torchgeo_geosane.models import ImageEncoder
from torchgeo_geosane.models.interpolation import Interpolation, check_interpolation, interpolation
from torchgeo_geosane.models.location import GLOBAL_SIGMAS
from torchgeo_geosane.models.location_encoders import LocationEncoderName, location_encoder
from torchgeo_geosane.tasks.versions import BaseTask

Kind = Literal['classification', 'regression']
Uses = Literal['image', 'location', 'both']


class PointTask(BaseTask):
    """Classification or regression of points, from the image there, the coordinate, or both.

    A batch holds ``image``, float ``[batch, in_channels, height, width]``; ``point``, float
    ``[batch, 2]`` from -1 to 1 (x to the right, y down); ``location``, longitude and latitude in
    degrees, float ``[batch, 2]``; and ``label``, int64 classes or float values, ``[batch]``.
    """

    ignore = None

    def __init__(
        self,
        backbone: str = 'resnet18',
        pretrained: bool = False,
        in_channels: int = 3,
        kind: Kind = 'classification',
        num_classes: int | None = None,
        uses: Uses = 'image',
        interpolation: Interpolation = 'local',
        embed_dim: int = 256,
        location_encoder: LocationEncoderName = 'fourier',
        location_pretrained: bool = False,
        location_hidden: int = 256,
        location_sigmas: Sequence[float] = GLOBAL_SIGMAS,
        freeze_backbone: bool = False,
        lr: float = 1e-3,
        weight_decay: float = 0.05,
    ) -> None:
        """Build the model.

        Args:
            backbone: Any timm name with a feature map, also of ours.
            pretrained: Whether it starts from the weights of its name.
            in_channels: Bands of the images.
            kind: ``classification`` or ``regression``.
            num_classes: Of a classification.
            uses: ``image``, ``location`` or ``both``.
            interpolation: How the feature map is read at a point.
            embed_dim: Width of the embeddings.
            location_encoder: ``fourier``, the paper's; or ``satclip``, TorchGeo's (0.10 and later).
            location_pretrained: Whether ``satclip`` starts from its weights.
            location_hidden: Width of the layers of ``fourier``.
            location_sigmas: Its scales, see
                :class:`~torchgeo_geosane.models.location.LocationEncoder`; the default ones are
                for the globe.
            freeze_backbone: Whether the backbone stays as it is.
            lr: Learning rate of AdamW.
            weight_decay: AdamW's.

        Raises:
            SpecError: If an argument is unknown, or a classification has no number of classes.
            ArchitectureError: If the backbone is unknown or has no feature map.
        """
        for value, known in ((kind, get_args(Kind)), (uses, get_args(Uses))):
            if value not in known:
                raise SpecError(f'unknown {value!r}{did_you_mean(value, known)}')
        check_interpolation(interpolation)
        if kind == 'classification' and (num_classes is None or num_classes < 2):
            raise SpecError('a classification needs num_classes, 2 or more')
        super().__init__()

    def configure_models(self) -> None:
        """Build encoders and head."""
        options, width = self.hparams, self.hparams['embed_dim']
        self.encoder = self.local = self.location = None
        if options['uses'] != 'location':
            self.encoder = ImageEncoder(
                options['backbone'], options['pretrained'], options['in_channels']
            )
            self.encoder.requires_grad_(not options['freeze_backbone'])
            self.local = interpolation(options['interpolation'], self.encoder.out_channels, width)
        if options['uses'] != 'image':
            self.location = location_encoder(
                options['location_encoder'],
                width,
                options['location_hidden'],
                options['location_sigmas'],
                options['location_pretrained'],
            )
        outputs = options['num_classes'] if options['kind'] == 'classification' else 1
        parts = 2 if options['uses'] == 'both' else 1
        self.head = nn.Sequential(nn.LayerNorm(parts * width), nn.Linear(parts * width, outputs))

    def configure_losses(self) -> None:
        """Cross entropy, or squared error."""
        is_classes = self.hparams['kind'] == 'classification'
        self.criterion = nn.CrossEntropyLoss() if is_classes else nn.MSELoss()

    def configure_metrics(self) -> None:
        """Accuracy over all and over classes; or root mean squared error and R²."""
        classes = self.hparams['num_classes']
        metrics: dict[str, Metric | MetricCollection] = (
            {
                'accuracy': MulticlassAccuracy(classes, average='micro'),
                'balanced_accuracy': MulticlassAccuracy(classes, average='macro'),
            }
            if self.hparams['kind'] == 'classification'
            else {'rmse': MeanSquaredError(squared=False), 'r2': R2Score()}
        )
        self.val_metrics = MetricCollection(metrics, prefix='val_')
        self.test_metrics = self.val_metrics.clone(prefix='test_')

    def configure_optimizers(self) -> Any:
        """AdamW."""
        learning = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return torch.optim.AdamW(
            learning, lr=self.hparams['lr'], weight_decay=self.hparams['weight_decay']
        )

    def train(self, mode: bool = True) -> 'PointTask':
        """A frozen backbone's running statistics stay as they are."""
        super().train(mode)
        if self.encoder is not None and self.hparams['freeze_backbone']:
            self.encoder.eval()
        return self

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Scores of the classes ``[batch, num_classes]``, or values ``[batch]``.

        Raises:
            LocationError: If a coordinate is not on the globe, or a point not in its image.
        """
        parts = []
        if self.encoder is not None and self.local is not None:
            features = self.encoder(batch['image'])
            parts.append(self.local(features, batch['point'][:, None])[:, 0])
        if self.location is not None:
            parts.append(self.location(batch['location']))
        found = self.head(torch.cat(parts, dim=1))
        return found if self.hparams['kind'] == 'classification' else found[:, 0]

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """The loss of a batch."""
        loss: Tensor = self.criterion(self(batch), batch['label'])
        self.log('train_loss', loss, batch_size=len(batch['label']))
        return loss

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Log loss and metrics."""
        self._evaluate(batch, 'val', self.val_metrics)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Log loss and metrics."""
        self._evaluate(batch, 'test', self.test_metrics)

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Probabilities of the classes, or values."""
        found: Tensor = self(batch)
        return found.softmax(dim=1) if self.hparams['kind'] == 'classification' else found

    def _evaluate(self, batch: dict[str, Tensor], stage: str, metrics: MetricCollection) -> None:
        found = self(batch)
        loss = self.criterion(found, batch['label'])
        metrics.update(found, batch['label'])
        size = len(batch['label'])
        self.log(f'{stage}_loss', loss, batch_size=size, sync_dist=True)
        self.log_dict(metrics, batch_size=size)
