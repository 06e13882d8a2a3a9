"""The backbone inside a task: loading generated weights into it, and its features."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning.pytorch import LightningModule
from timm.models import FeatureInfo
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, grid_sample

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
        module, is_encoder = find_backbone(task)
        return cls(module, spec, is_encoder, _match(module, spec, is_encoder))

    @classmethod
    def alone(cls, module: nn.Module, spec: Spec) -> 'Backbone':
        """A timm model outside of a task: one without head, or a feature extractor of it."""
        names = {name: name for name in module.state_dict()}
        return cls(module, spec, _is_extractor(module), names)

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Load generated weights, in place; a head stays as it is."""
        own = self.module.state_dict()
        for key, name in self.names.items():
            own[key].copy_(tensors[name])

    @torch.no_grad()
    def features(self, image: Tensor, points: Tensor | None = None) -> Tensor:
        """Features of images as the head would see them, one vector for each cell of a grid.

        Args:
            image: ``[batch, channels, height, width]``, or with two dates
                ``[batch, 2, channels, height, width]``.
            points: For an encoder, places in each image instead of cells: float ``[batch, n, 2]``,
                column and row from -1 to 1.

        Returns:
            float32 on the CPU, ``[batch, rows, columns, d]``: one cell for a whole image, up to 4×4
            for an encoder, whose maps of all scales are joined, ``n`` rows of one for points; of two
            dates seen one by one, what differs between them.
        """
        seen = [self._features(view, points) for view in self.views(image)]
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

    def _features(self, image: Tensor, points: Tensor | None) -> Tensor:
        module: Any = self.module
        if not self.is_encoder:
            pooled = module.forward_head(module.forward_features(image), pre_logits=True)
            return pooled.flatten(1)[:, None, None]
        seen = _maps(module, module(image))
        if points is not None:
            return _at(seen, points)
        rows, columns = (min(_CELLS, size) for size in seen[-1].shape[-2:])
        pooled = [adaptive_avg_pool2d(each, (rows, columns)) for each in seen if each.shape[1]]
        return torch.cat(pooled, dim=1).permute(0, 2, 3, 1)


def find_backbone(task: LightningModule) -> tuple[nn.Module, bool]:
    """The backbone of a task, and whether it is the encoder of what predicts a map.

    Raises:
        ArchitectureError: If the task has none that can be found.
    """
    model = original(getattr(task, 'model', nn.Identity()))
    encoder = getattr(model, 'encoder', None)
    if isinstance(encoder, nn.Module):
        return original(encoder), True
    if hasattr(model, 'forward_head'):
        return model, False
    raise ArchitectureError(
        f'the backbone of a {type(task).__name__} cannot be found: '
        f'supported are {SUPPORTED} with models of timm and smp'
    )


def _at(maps: list[Tensor], points: Tensor) -> Tensor:
    """Maps of all scales at some points, interpolated: ``[batch, n, 1, d]``."""
    grid = points.to(maps[0]).unsqueeze(2)
    read = [
        grid_sample(each, grid, padding_mode='border', align_corners=False)
        for each in maps
        if each.shape[1]
    ]
    return torch.cat(read, dim=1).permute(0, 2, 3, 1)


def _is_extractor(module: nn.Module) -> bool:
    """Whether it is one of timm's; whole models have a list of that name, smp's among them."""
    return isinstance(getattr(module, 'feature_info', None), FeatureInfo)


def _maps(module: nn.Module, found: Any) -> list[Tensor]:
    """The maps ``[batch, channels, rows, columns]`` among what an encoder returns."""
    if isinstance(found, tuple):  # Encoders for DPT: maps and class tokens.
        return list(found[0])
    if not _is_extractor(module):  # smp's encoders give their input as the first map.
        return list(found[1:])
    last = str(getattr(module, 'output_fmt', '')).endswith('NHWC')
    return [each.movedim(-1, 1) for each in found] if last else list(found)


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
