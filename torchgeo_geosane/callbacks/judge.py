"""The judge of a selection: scores weights by a probe on the features that they give."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from torchgeo_geosane.callbacks.backbone import Backbone
from torchgeo_geosane.callbacks.batch_norm import condition, running_layers
from torchgeo_geosane.callbacks.batches import merged, training_batches
from torchgeo_geosane.callbacks.examples import Examples
from torchgeo_geosane.callbacks.probe import Measure, Probe, probe, score
from torchgeo_geosane.callbacks.tasks import as_written
from torchgeo_geosane.errors import DataError
from torchgeo_geosane.spec import Spec


class Judge:
    """Scores weights by a probe on the features that a backbone has with them."""

    def __init__(
        self, trainer: Trainer, backbone: Backbone, examples: Examples, kind: Probe, seed: int
    ) -> None:
        self.trainer, self.backbone, self.examples, self._kind = trainer, backbone, examples, kind
        self.images = sum(map(len, examples.images))
        self._halves = halves(self.images, seed)

    @classmethod
    def draw(
        cls,
        trainer: Trainer,
        task: LightningModule,
        spec: Spec,
        batches: int,
        kind: Probe = 'linear',
        seed: int = 0,
    ) -> 'Judge':
        """Take the images out of the batches that the training will begin with.

        Args:
            trainer: It is fitting.
            task: Whose backbone is judged.
            spec: Its architecture and sensor are the backbone's.
            batches: How many at most; their images are held in memory.
            kind: The probe.
            seed: Which images fit the probe and which score it.

        Raises:
            GeoSANEError: If the backbone cannot be found, or the training data are too few.
        """
        backbone = Backbone.of(task, spec)
        with training_batches(trainer, batches) as drawn:
            key = 'mask' if backbone.is_encoder else 'label'
            examples = Examples.draw(task, key, drawn)
        return cls(trainer, backbone, examples, kind, seed)

    def score(self, tensors: dict[str, Tensor]) -> float:
        """Load weights, and score the features that they give; alike in every process."""
        self.backbone.load(tensors)
        device = self.trainer.strategy.root_device
        with as_written(self.trainer):
            features = conditioned_features(self.backbone, self.examples, device)
        judged = Judged(
            features, *self.examples.targets(*features.shape[1:3]), self.examples.measure
        )
        shared = torch.tensor(judged.score(self._kind, *self._halves), device=device)
        return self.trainer.strategy.reduce(shared, reduce_op='mean').item()


@dataclass(frozen=True)
class Judged:
    """Features of images, and what the labels tell about each of them.

    Attributes:
        features: float32 ``[images, rows, columns, d]``.
        targets: float32 ``[images, rows, columns, k]``.
        known: Which have labels, bool ``[images, rows, columns]``.
        measure: What the scores are.
    """

    features: Tensor
    targets: Tensor
    known: Tensor
    measure: Measure

    def score(self, kind: Probe, fitted: Tensor, held_back: Tensor) -> float:
        """Fit a probe on some images, and score it on others.

        Args:
            kind: The probe.
            fitted: Indices of the images to fit on.
            held_back: Indices of the images to score on.

        Raises:
            DataError: If there is no label among one of the two.
        """
        (known, told), (asked, actual) = (
            (self.features[part][self.known[part]], self.targets[part][self.known[part]])
            for part in (fitted, held_back)
        )
        if not len(known) or not len(asked):
            raise DataError('the training batches have no labels to probe for')
        return score(self.measure, probe(kind, known, told, asked), actual)


def halves(images: int, seed: int) -> tuple[Tensor, Tensor]:
    """Two halves of so many images, drawn by a seed: one to fit on, one to score on."""
    order = torch.randperm(images, generator=torch.Generator().manual_seed(seed))
    first, second = order.tensor_split(2)
    return first, second


def conditioned_features(backbone: Backbone, examples: Examples, device: torch.device) -> Tensor:
    """Features of images, with the running statistics that these give, as in training.

    Args:
        backbone: Its modes are as before afterwards; its statistics are not.
        examples: The images; where they have points, features are those of the points.
        device: Where the backbone is.

    Returns:
        float32 on the CPU, ``[images, rows, columns, d]``, see :meth:`~.backbone.Backbone.features`.
    """

    def moved() -> Iterator[Tensor]:
        return (image.to(device) for image in examples.images)

    layers = {
        name: layer
        for name, layer in running_layers(backbone.module).items()
        if f'{name}.running_mean' in backbone.names
    }
    modes = [(module, module.training) for module in backbone.module.modules()]
    if layers:
        views = (view for image in moved() for view in backbone.views(image))
        condition(backbone.module, layers, merged(views))
    backbone.module.eval()
    points = examples.points
    places: Sequence[Tensor | None] = points.places if points else [None] * len(examples.images)
    features = [backbone.features(*each) for each in zip(moved(), places, strict=True)]
    for module, training in modes:
        module.training = training
    return torch.cat(features)
