import pytest
import torch
import torchgeo.models

from torchgeo_geosane.errors import ArchitectureError, LocationError, SpecError
from torchgeo_geosane.models.location import LocationEncoder
from torchgeo_geosane.models.location_encoders import SatCLIPLocation, location_encoder
from torchgeo_geosane.tasks import GeoAlignmentTask, PointTask

HAS_SATCLIP = hasattr(torchgeo.models, 'satclip')
needs_satclip = pytest.mark.skipif(not HAS_SATCLIP, reason='SatCLIP came with TorchGeo 0.10')

PLACES = torch.tensor([[[13.4, 52.5], [-58.4, -34.6]]])


def test_fourier_is_the_papers() -> None:
    encoder = location_encoder('fourier', 8, 16, (2.0, 4.0))
    assert isinstance(encoder, LocationEncoder)
    assert len(encoder.scales) == 2


@needs_satclip
@pytest.mark.parametrize('width', [256, 12])
def test_satclip_is_torchgeos(width: int) -> None:
    torch.manual_seed(0)
    encoder = location_encoder('satclip', width, 16).eval()
    assert isinstance(encoder, SatCLIPLocation)
    found = encoder(PLACES)
    expected = encoder.projection(encoder.encoder(PLACES[0]))[None]
    assert found.shape == (1, 2, width)
    torch.testing.assert_close(found, expected)


@needs_satclip
def test_satclip_refuses_places_beyond_the_globe() -> None:
    with pytest.raises(LocationError, match='not on the globe'):
        location_encoder('satclip', 8, 16)(PLACES + 300)


@needs_satclip
def test_weights_that_cannot_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError('no network')

    monkeypatch.setattr(torch.hub, 'load_state_dict_from_url', refuse)
    monkeypatch.setattr('torchvision.models._api.load_state_dict_from_url', refuse)
    with pytest.raises(ArchitectureError, match=r'no network.*do not ask for pretrained'):
        SatCLIPLocation(pretrained=True)


@needs_satclip
def test_tasks_learn_with_it() -> None:
    task = PointTask('test_resnet', num_classes=3, uses='location', location_encoder='satclip')
    batch = {'location': PLACES[0], 'label': torch.tensor([0, 2])}
    task.training_step(batch, 0).backward()
    assert isinstance(task.location, SatCLIPLocation)
    gradients = [weight.grad for weight in task.location.parameters()]
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients)


@pytest.mark.skipif(HAS_SATCLIP, reason='this TorchGeo has SatCLIP')
def test_an_older_torchgeo_is_named() -> None:
    with pytest.raises(ArchitectureError, match=r"TorchGeo 0\.8.*choose 'fourier'"):
        GeoAlignmentTask('test_resnet', 'test_resnet', location_encoder='satclip')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'name': 'satclp'}, "did you mean 'satclip'"),
        ({'name': 'satclip', 'sigmas': (1.0,)}, "of the location encoder 'fourier'"),
        ({'name': 'fourier', 'pretrained': True}, 'has no trained weights'),
    ],
)
def test_arguments_without_sense(options: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        location_encoder(embed_dim=8, hidden_dim=8, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize('sigmas', [(), (1.0, 0.0), (float('nan'),), (-1.0,)])
def test_scales_without_sense(sigmas: tuple[float, ...]) -> None:
    with pytest.raises(LocationError, match='standard deviations above 0'):
        location_encoder('fourier', 8, 8, sigmas)
