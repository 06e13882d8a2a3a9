"""The backbone inside a task: loading generated weights into it, and its features."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from torchgeo_geosane.architectures import flat_name, get_architecture
from torchgeo_geosane.callbacks.tasks import original
from torchgeo_geosane.errors import ArchitectureError, DataError
from torchgeo_geosane.spec import Spec

SUPPORTED = 'Classification, Regression, SemanticSegmentation, PixelwiseRegression, ChangeDetection'
# A feature map is averaged over a grid of at most so many cells a side.
_CELLS = 4


@dataclass(frozen=True)
class Backbone:
    """The backbone inside a task.

    Attributes:
        module: The timm model of a classification or regression, or the smp encoder of what
            predicts a map.
        spec: What its weights are generated from.
        is_encoder: Which of the two it is.
        names: The generated tensor for each of the module's, by name.
    """

    module: nn.Module
    spec: Spec
    is_encoder: bool
    names: Mapping[str, str] = field(repr=False)

    @classmethod
    def of(cls, task: LightningModule, spec: Spec) -> 'Backbone':
        """Find the backbone of a task.

        Raises:
            ArchitectureError: If the task has none that can be found, or it is another
                architecture than the spec's.
        """
        model = original(getattr(task, 'model', nn.Identity()))
        encoder = getattr(model, 'encoder', None)
        if not isinstance(encoder, nn.Module) and not hasattr(model, 'forward_head'):
            raise ArchitectureError(
                f'the backbone of a {type(task).__name__} cannot be found: '
                f'supported are {SUPPORTED} with models of timm and smp'
            )
        module = original(encoder) if isinstance(encoder, nn.Module) else model
        return cls(module, spec, module is not model, _match(module, spec, module is not model))

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Load generated weights, in place; a head stays as it is."""
        own = self.module.state_dict()
        for key, name in self.names.items():
            own[key].copy_(tensors[name])

    @torch.no_grad()
    def features(self, image: Tensor) -> Tensor:
        """Features of images as the head would see them, one vector for each cell of a grid.

        Args:
            image: ``[batch, channels, height, width]``, or with two dates
                ``[batch, 2, channels, height, width]``.

        Returns:
            float32 on the CPU, ``[batch, rows, columns, d]``: one cell for a whole image, up to 4×4
            for an encoder, whose maps of all scales are joined; of two dates seen one by one, what
            differs between them.
        """
        seen = [self._features(view) for view in self.views(image)]
        features = seen[0] if len(seen) == 1 else (seen[1] - seen[0]).abs()
        return features.float().cpu().nan_to_num()

    def views(self, image: Tensor) -> list[Tensor]:
        """What the module is run on for a batch of images: one tensor, or one for each date.

        Raises:
            DataError: If the module cannot see such images.
        """
        channels = self.spec.target.in_chans
        if image.ndim == 4:
            return [image]
        dates, each = image.shape[1:3]
        if dates * each == channels:
            return [image.flatten(1, 2)]
        if dates == 2 and each == channels:
            return list(image.unbind(1))
        raise DataError(
            f'{dates} dates of {each} channels cannot be told apart by a backbone for {channels}'
        )

    def _features(self, image: Tensor) -> Tensor:
        module: Any = self.module
        if not self.is_encoder:
            pooled = module.forward_head(module.forward_features(image), pre_logits=True)
            return pooled.flatten(1)[:, None, None]
        maps = module(image)
        # Encoders for DPT return maps and class tokens, the others their input as the first map.
        seen = maps[0] if isinstance(maps, tuple) else maps[1:]
        rows, columns = (min(_CELLS, size) for size in seen[-1].shape[-2:])
        pooled = [adaptive_avg_pool2d(each, (rows, columns)) for each in seen if each.shape[1]]
        return torch.cat(pooled, dim=1).permute(0, 2, 3, 1)


def _match(module: nn.Module, spec: Spec, is_encoder: bool) -> dict[str, str]:
    """Find the generated tensor for each tensor of a module.

    timm's feature extractors join names (``stages_0`` for ``stages.0``) and nest the model.
    """
    target = get_architecture(spec.architecture, spec.target.in_chans).shapes
    by_flat_name = {flat_name(name): name for name in target}
    head = frozenset() if is_encoder else get_architecture(spec.architecture).head
    names = {}
    for key, tensor in module.state_dict().items():
        name = by_flat_name.get(flat_name(key.replace('_orig_mod.', '')))
        if name is not None and target[name].shape == tuple(tensor.shape):
            names[key] = name
        elif key not in head:
            found = f'of shape {target[name].shape}' if name else 'not at all'
            raise ArchitectureError(
                f'the task’s backbone is another than {spec.architecture!r} for '
                f'{spec.target.in_chans} bands: it has {key!r} of shape {tuple(tensor.shape)}, '
                f'that has it {found}'
            )
    return names
