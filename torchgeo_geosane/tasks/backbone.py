"""timm's architectures as backbones of torchvision's detectors."""

import inspect
from functools import partial
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torchvision.ops.feature_pyramid_network import (
    ExtraFPNBlock,
    FeaturePyramidNetwork,
    LastLevelP6P7,
)

from torchgeo_geosane.architectures import check_architecture
from torchgeo_geosane.construction import construct
from torchgeo_geosane.errors import ArchitectureError
from torchgeo_geosane.tasks.pyramid import SimpleFeaturePyramid

# What torchvision's detectors are built for.
_STRIDES = (4, 8, 16, 32)
_OUT_CHANNELS = 256
# How timm's transformers are told to take images of any size; other architectures do anyway.
_ANY_SIZE = {'dynamic_img_size': True, 'strict_img_size': False}
# Multiples of 32, which detectors pad to, and of nothing more.
_IMAGE = (96, 160)
_ADVICE = 'take, for instance, convnext_tiny, swin_tiny_patch4_window7_224 or vit_small_patch16_224'


class TimmBackbone(nn.Module):
    """A timm model, and a pyramid of feature maps on it.

    Attributes:
        body: The timm model, named as in timm.
        fpn: What makes the maps that the detector sees.
        out_channels: Of these maps; torchvision asks for it.
    """

    def __init__(self, extractor: Any, fpn: nn.Module) -> None:
        super().__init__()
        self.body = extractor.model
        self.fpn = fpn
        self.out_channels = _OUT_CHANNELS
        self._indices = list(extractor.feature_info.out_indices)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """See images.

        Args:
            image: ``[batch, channels, height, width]``, height and width divisible by 32.

        Returns:
            Maps by name, ``'0'`` the largest: ``[batch, 256, height / stride, width / stride]``.
        """
        maps = self.body.forward_intermediates(
            image, indices=self._indices, output_fmt='NCHW', intermediates_only=True
        )
        return self.fpn({str(level): features for level, features in enumerate(maps)})


def build_backbone(
    architecture: str, in_chans: int, pretrained: bool, extra_blocks: ExtraFPNBlock
) -> TimmBackbone:
    """Build a timm architecture as a detector's backbone.

    Args:
        architecture: One that makes maps of strides 4, 8, 16 and 32, which go through an FPN, or
            of one stride of 8, 16 or 32 (a plain ViT), which go through a simple feature pyramid.
        in_chans: The number of input channels.
        pretrained: Whether with timm's own weights.
        extra_blocks: What makes the detector's uppermost maps.

    Raises:
        ArchitectureError: If timm does not know the architecture, or it makes other maps, or takes
            images of one size only.
    """
    check_architecture(architecture)
    options = _any_size(architecture, in_chans)
    info = _try(architecture, in_chans, options).feature_info
    # By stride; where several blocks have one, the last of them.
    indices = dict(zip(info.reduction(), info.out_indices, strict=True))
    channels = dict(zip(info.reduction(), info.channels(), strict=True))
    if isinstance(extra_blocks, LastLevelP6P7):
        # From the pyramid's last map: RetinaNet's own is for the channels of another body.
        extra_blocks = LastLevelP6P7(_OUT_CHANNELS, _OUT_CHANNELS)
    fpn: nn.Module
    if indices.keys() >= set(_STRIDES):
        used = [indices[stride] for stride in _STRIDES]
        fpn = FeaturePyramidNetwork(
            [channels[stride] for stride in _STRIDES], _OUT_CHANNELS, extra_blocks
        )
    elif len(indices) == 1 and (stride := next(iter(indices))) in _STRIDES:
        used = [indices[stride]]
        fpn = SimpleFeaturePyramid(channels[stride], stride, _STRIDES, _OUT_CHANNELS, extra_blocks)
    else:
        raise ArchitectureError(
            f'{architecture!r} cannot be the backbone of a detector: its feature maps have strides '
            f'{", ".join(map(str, indices))}; 4, 8, 16 and 32 are needed, or one of them: {_ADVICE}'
        )
    extractor = _extract(architecture, in_chans, out_indices=used, pretrained=pretrained, **options)
    return TimmBackbone(extractor, fpn)


def _extract(architecture: str, in_chans: int, **options: Any) -> Any:
    # The kind of extractor that leaves modules, and so tensors, under their names, and whose maps
    # are channels first for every architecture.
    return timm.create_model(
        architecture, features_only=True, feature_cls='getter', in_chans=in_chans, **options
    )


def _any_size(architecture: str, in_chans: int) -> dict[str, bool]:
    """The keywords by which an architecture takes images of any size, if it needs one."""
    model = construct(partial(timm.create_model, architecture, in_chans=in_chans), device='meta')
    # Subclasses pass on what they do not name.
    known = {name for base in type(model).__mro__ for name in inspect.signature(base).parameters}
    return {name: value for name, value in _ANY_SIZE.items() if name in known}


def _try(architecture: str, in_chans: int, options: dict[str, bool]) -> Any:
    """An extractor on the meta device, through which an image has gone."""

    def run() -> Any:
        extractor = _extract(architecture, in_chans, **options).eval()
        with torch.no_grad():
            extractor(torch.zeros(1, in_chans, *_IMAGE))
        return extractor

    try:
        return construct(run, device='meta')
    except Exception as error:  # whatever the model's constructor or forward raises
        raise ArchitectureError(
            f'{architecture!r} cannot be the backbone of a detector, which sees images of any size '
            f'divisible by 32: it makes no feature maps of {_IMAGE[0]}×{_IMAGE[1]} pixels '
            f'({error}); {_ADVICE}'
        ) from error
