import pytest
import timm
import torch

from torchgeo_geosane.errors import ArchitectureError
from torchgeo_geosane.models import ImageEncoder

FAMILIES = (
    *('resnet18', 'efficientnet_b0', 'convnext_atto', 'mobilenetv3_small_050', 'regnety_002'),
    *('test_vit', 'swin_tiny_patch4_window7_224', 'levit_128s', 'xcit_nano_12_p16_224'),
)


@pytest.mark.parametrize('name', FAMILIES)
def test_a_map_of_the_channels_it_says(name: str) -> None:
    encoder = ImageEncoder(name, in_chans=4).eval()
    size = encoder.model.pretrained_cfg['input_size'][-1]
    with torch.no_grad():
        found = encoder(torch.zeros(2, 4, size, size))
    assert found.shape[:2] == (2, encoder.out_channels)
    assert min(found.shape[2:]) > 1


def test_places_stay_where_they_are() -> None:
    encoder = ImageEncoder('test_vit').eval()
    image = torch.zeros(1, 3, 160, 160)
    image[..., :80, :80] = 1
    with torch.no_grad():
        change = (encoder(image) - encoder(torch.zeros_like(image))).abs().mean(1)[0]
    assert change[:5, :5].mean() > change[5:, 5:].mean()


def test_weights_are_those_of_the_name() -> None:
    torch.manual_seed(0)
    model = timm.create_model('resnet18', num_classes=0)
    encoder = ImageEncoder('resnet18')
    encoder.model.load_state_dict(model.state_dict())
    image = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(encoder.eval()(image), model.eval().forward_features(image))


def test_unknown_names() -> None:
    with pytest.raises(ArchitectureError, match='cannot build the encoder'):
        ImageEncoder('resnet19')


def test_models_without_a_feature_map(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm, 'create_model', lambda *_, **__: torch.nn.Linear(2, 2))
    with pytest.raises(ArchitectureError, match='has no feature map'):
        ImageEncoder('resnet18')
