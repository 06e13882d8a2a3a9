import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from torchgeo.trainers import ClassificationTask, SemanticSegmentationTask

from torchgeo_geosane.errors import ArchitectureError, SensorError, SpecError
from torchgeo_geosane.generate import generate
from torchgeo_geosane.providers.catalog import find_spec
from torchgeo_geosane.providers.ensemble import EnsembleSpec, channels_of
from torchgeo_geosane.sensors import get_sensor

RANDOM = '&prompt=random'
PAIR = f'test_resnet.sentinel2_4{RANDOM}+test_convnext.sentinel2_rgb{RANDOM}'
NAME = f'geosane_ensemble.{PAIR}'


def test_bands_of_all_members_each_once() -> None:
    spec = EnsembleSpec.parse(NAME)
    # sentinel2_4 has those of sentinel2_rgb, too.
    assert [band.name for band in spec.bands] == ['B2', 'B3', 'B4', 'B8']
    assert spec.channels(spec.members[1]) == (2, 1, 0)
    both = EnsembleSpec.parse(f'test_resnet.sentinel2_rgb{RANDOM}+test_vit.sentinel1_grd{RANDOM}')
    assert [band.name for band in both.bands] == ['B4', 'B3', 'B2', 'VV', 'VH']


def test_options_follow_a_question_mark() -> None:
    spec = EnsembleSpec.parse(f'{NAME}?reduce=16&join=mean&trainable=true')
    assert (spec.reduce, spec.join, spec.trainable) == (16, 'mean', True)


def test_members_have_the_generated_weights() -> None:
    model = timm.create_model(NAME, pretrained=True, num_classes=3)
    held = model.members[0].state_dict()
    generated = generate(find_spec(f'geosane_test_resnet.sentinel2_4{RANDOM}')).tensors
    names = [name for name, tensor in generated.items() if tensor.ndim > 1]
    assert names
    assert all(torch.equal(held[f'model.model.{name}'], generated[name]) for name in names)
    assert model(torch.zeros(2, 4, 64, 64)).shape == (2, 3)


def test_features_for_decoders() -> None:
    model = timm.create_model(NAME, features_only=True, in_chans=4, pretrained=False)
    found = model(torch.zeros(2, 4, 64, 64))
    assert [level.shape[1] for level in found] == model.feature_info.channels()
    assert [64 // level.shape[-1] for level in found] == model.feature_info.reduction()


def test_in_smp_and_torchgeo() -> None:
    unet = smp.Unet(f'tu-{NAME}', encoder_weights=None, in_channels=4, classes=2)
    assert unet(torch.zeros(2, 4, 64, 64)).shape == (2, 2, 64, 64)
    task = SemanticSegmentationTask(
        'unet', f'tu-{NAME}', weights=True, in_channels=4, num_classes=2
    )
    assert task(torch.zeros(2, 4, 64, 64)).shape == (2, 2, 64, 64)
    classification = ClassificationTask(NAME, True, in_channels=4, num_classes=2)
    assert classification(torch.zeros(2, 4, 64, 64)).shape == (2, 2)


def test_its_card_is_no_one_elses() -> None:
    model = timm.create_model(NAME, pretrained=False)
    assert model.pretrained_cfg['architecture'] == 'geosane_ensemble'
    assert len(model.pretrained_cfg['notes']) == 2
    assert 'hf_hub_id' not in model.pretrained_cfg


@pytest.mark.parametrize(
    ('name', 'error', 'message'),
    [
        ('geosane_ensemble', SpecError, 'names 0 members'),
        (f'geosane_ensemble.test_resnet.rgb{RANDOM}', SpecError, 'names 1 member:'),
        (f'{NAME}+ensemble.x.rgb', SpecError, 'is an ensemble itself'),
        (f'geosane_ensemble.{PAIR}?reduce=many', SpecError, 'is a number of channels'),
        (f'geosane_ensemble.{PAIR}?reduce=0', ArchitectureError, 'leaves no channel'),
        (f'geosane_ensemble.{PAIR}?redoce=8', SpecError, "did you mean 'reduce'"),
        (f'geosane_ensemble.{PAIR}?trainable=yes', SpecError, 'trainable is true or false'),
        (
            f'geosane_ensemble.test_resnet.rgb{RANDOM}+test_resnet.rgb{RANDOM}',
            ArchitectureError,
            'is in the ensemble twice',
        ),
        (f'geosane_ensemble.test_resnat.rgb+test_vit.rgb{RANDOM}', SpecError, 'test_resnet'),
    ],
)
def test_names_without_sense(name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        timm.create_model(name, pretrained=False)


def test_where_the_weights_of_one_encoder_are_wanted() -> None:
    with pytest.raises(SpecError, match='names the weights of several encoders'):
        find_spec(f'tu-{NAME}')


def test_other_channels_than_its_bands() -> None:
    with pytest.raises(ArchitectureError, match=r'sees 4 bands \(B2, B3, B4, B8\)'):
        timm.create_model(NAME, in_chans=3)


def test_a_member_that_cannot_see_the_data() -> None:
    with pytest.raises(SensorError, match='band VV is not among'):
        channels_of(get_sensor('sentinel1_grd').bands, get_sensor('rgb').bands)
