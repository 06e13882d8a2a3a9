"""Images to feature maps: any timm model that keeps places apart."""

from typing import Any

import timm
from torch import Tensor, nn

from torchgeo_geosane.errors import ArchitectureError


class ImageEncoder(nn.Module):
    """A timm model without its head, whose last feature map is asked for.

    Attributes:
        model: The timm model, under its own names.
        out_channels: Channels of the feature map.
    """

    def __init__(
        self, name: str, pretrained: bool = False, in_chans: int = 3, **options: Any
    ) -> None:
        """Build it.

        Args:
            name: Any name of timm's, also of ours: ``geosane_resnet18.sentinel2_all``.
            pretrained: Whether to load the name's weights; for a name of ours they are generated.
            in_chans: Bands of the images.
            options: What else the model is given, ``img_size`` of a ViT say.

        Raises:
            ArchitectureError: If the model is unknown or has no feature map.
        """
        super().__init__()
        try:
            model: Any = timm.create_model(
                name, pretrained=pretrained, in_chans=in_chans, num_classes=0, **options
            )
        except RuntimeError as error:
            raise ArchitectureError(f'cannot build the encoder {name!r}: {error}') from error
        # A list in some models, an object in others.
        info = list(getattr(model, 'feature_info', ()))
        if not info or not hasattr(model, 'forward_intermediates'):
            raise ArchitectureError(
                f'{name!r} has no feature map: choose a convolutional network or a transformer '
                'with tokens on a grid, as resnet18 or vit_small_patch16_224'
            )
        self.model = model
        self.out_channels = int(info[-1]['num_chs'])

    def forward(self, images: Tensor) -> Tensor:
        """The last feature map.

        Args:
            images: float ``[batch, in_chans, height, width]``.

        Returns:
            float ``[batch, out_channels, rows, columns]``.
        """
        model: Any = self.model
        maps: list[Tensor] = model.forward_intermediates(
            images, indices=1, norm=True, output_fmt='NCHW', intermediates_only=True
        )
        return maps[-1]
