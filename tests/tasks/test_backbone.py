import pytest
import torch
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.tasks.backbone import build_backbone


@pytest.mark.parametrize(
    'architecture',
    [
        'efficientnet_b0',  # a map of stride 2 too
        'resnest14d',
        'swinv2_tiny_window8_256',  # channels last
        'mvitv2_tiny',
        'deit_tiny_distilled_patch16_224',  # two tokens; takes the image size from a base class
        'xcit_nano_12_p8_224',  # a plain map of stride 8
        'vit_base_patch32_224',
    ],
)
def test_maps_of_any_image(architecture: str) -> None:
    with torch.device('meta'):
        backbone = build_backbone(architecture, 2, False, LastLevelMaxPool()).eval()
        maps = backbone(torch.zeros(1, 2, 224, 352))
    assert {name: tuple(level.shape) for name, level in maps.items()} == {
        '0': (1, 256, 56, 88),
        '1': (1, 256, 28, 44),
        '2': (1, 256, 14, 22),
        '3': (1, 256, 7, 11),
        'pool': (1, 256, 4, 6),
    }
    # What is generated fits as it is.
    target = get_architecture(architecture, 2).shapes
    for name, tensor in backbone.body.state_dict().items():
        assert target[name].shape == tuple(tensor.shape)
