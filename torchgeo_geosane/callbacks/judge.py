"""The judge of a selection: scores weights by a probe on the features that they give."""

from collections.abc import Iterator

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from torchgeo_geosane.callbacks.backbone import Backbone
from torchgeo_geosane.callbacks.batch_norm import condition, running_layers
from torchgeo_geosane.callbacks.batches import merged
from torchgeo_geosane.callbacks.examples import Examples
from torchgeo_geosane.callbacks.probe import Probe, probe, score
from torchgeo_geosane.callbacks.tasks import as_written
from torchgeo_geosane.errors import DataError


class Judge:
    """Scores weights by a probe on the features that a backbone has with them."""

    def __init__(
        self, trainer: Trainer, backbone: Backbone, examples: Examples, kind: Probe, seed: int
    ) -> None:
        self.trainer, self.backbone, self.examples, self._kind = trainer, backbone, examples, kind
        self.images = sum(map(len, examples.images))
        order = torch.randperm(self.images, generator=torch.Generator().manual_seed(seed))
        self._fitted, self._held_back = order.tensor_split(2)

    def score(self, tensors: dict[str, Tensor]) -> float:
        """Load weights, and score the features that they give; alike in every process."""
        self.backbone.load(tensors)
        features = self._features()
        targets, known = self.examples.targets(*features.shape[1:3])
        fitted, held_back = (
            (features[part][known[part]], targets[part][known[part]])
            for part in (self._fitted, self._held_back)
        )
        if not len(fitted[0]) or not len(held_back[0]):
            raise DataError('the training batches have no labels to probe for')
        value = score(self.examples.measure, probe(self._kind, *fitted, held_back[0]), held_back[1])
        shared = torch.tensor(value, device=self.trainer.strategy.root_device)
        return self.trainer.strategy.reduce(shared, reduce_op='mean').item()

    def _features(self) -> Tensor:
        """Of all images; with the running statistics that the data give, as in training."""
        backbone = self.backbone
        layers = {
            name: layer
            for name, layer in running_layers(backbone.module).items()
            if f'{name}.running_mean' in backbone.names
        }
        modes = [(module, module.training) for module in backbone.module.modules()]
        with as_written(self.trainer):
            if layers:
                condition(backbone.module, layers, merged(self._views()))
            backbone.module.eval()
            features = [backbone.features(image) for image in self._on_device()]
        for module, training in modes:
            module.training = training
        return torch.cat(features)

    def _on_device(self) -> Iterator[Tensor]:
        return (image.to(self.trainer.strategy.root_device) for image in self.examples.images)

    def _views(self) -> Iterator[Tensor]:
        return (view for image in self._on_device() for view in self.backbone.views(image))
