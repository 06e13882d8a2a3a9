import re
from pathlib import Path

import pytest
import torch
import yaml
from chips import SIX, Chips, ChipsDataModule, trainer
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch import LightningModule
from specs import MakeSpec
from torch.utils.data import ConcatDataset, Subset
from torchgeo.datasets import EuroSAT, Sentinel2
from torchgeo.main import main as torchgeo_main
from torchgeo.models import ResNet18_Weights
from torchgeo.trainers import ChangeDetectionTask, ClassificationTask, SemanticSegmentationTask

from torchgeo_geosane import generate
from torchgeo_geosane.callbacks import CheckBands
from torchgeo_geosane.callbacks.band_lists import delivered_by, is_same_band, is_same_order
from torchgeo_geosane.errors import DataError
from torchgeo_geosane.export import export
from torchgeo_geosane.sensors import SENSORS

EUROSAT = EuroSAT.all_band_names
MOCO = ResNet18_Weights.SENTINEL2_ALL_MOCO
SCENE = Path(__file__).parents[1] / 'data' / 'sentinel2_landuse'


def classification(in_channels: int = 6, weights: object = None) -> ClassificationTask:
    return ClassificationTask('test_resnet', weights, in_channels=in_channels, num_classes=2)


def foreign(task: ClassificationTask, weights: object = MOCO) -> ClassificationTask:
    """As if the task had started from weights that would have to be downloaded."""
    task.weights = weights
    return task


def idle(task: LightningModule, data: ChipsDataModule) -> ChipsDataModule:
    """Data that reach their task as they are, and a task that does nothing with them."""
    data.on_after_batch_transfer = lambda batch, index: batch  # type: ignore[method-assign]
    task.training_step = task.validation_step = lambda *arguments: None  # type: ignore
    return data


def test_eurosat_with_torchgeos_weights_is_an_error_that_says_how_to_mend_it(
    tmp_path: Path,
) -> None:
    task, data = foreign(classification(13)), ChipsDataModule(bands=EUROSAT)
    with pytest.raises(DataError) as caught:
        trainer(tmp_path, CheckBands()).fit(task, datamodule=data)
    message = str(caught.value)
    assert 'same in another order; different in 5 positions: 9, 10, 11, 12, 13' in message
    rows = [line.split() for line in message.splitlines() if re.match(r' +\d', line)]
    assert [row[1] for row in rows] == list(EUROSAT)
    assert [row[2] for row in rows] == MOCO.meta['bands']
    assert [row[0] for row in rows if row[-1] == '<'] == ['9', '10', '11', '12', '13']

    order = re.search(r'bands: \[(B.*)\]$', message, re.MULTILINE)
    assert order is not None
    again = ChipsDataModule(bands=yaml.safe_load(f'[{order[1]}]'))
    trainer(tmp_path, CheckBands()).fit(foreign(classification(13)), datamodule=again)


def test_the_url_in_the_message_is_the_remedy(tmp_path: Path, make_spec: MakeSpec) -> None:
    spec = make_spec(sensor='sentinel2_all')
    with pytest.raises(DataError) as caught:
        trainer(tmp_path, CheckBands()).fit(
            classification(13, spec.url), datamodule=ChipsDataModule(bands=EUROSAT)
        )
    (line,) = (line for line in str(caught.value).splitlines() if line.startswith('Either'))
    url = yaml.safe_load(line.partition('order: ')[2])['weights']
    assert 'B11,B12,B8A]' in url
    trainer(tmp_path, CheckBands()).fit(
        classification(13, url), datamodule=ChipsDataModule(bands=EUROSAT)
    )


def test_agreement_is_said_once(tmp_path: Path, make_spec: MakeSpec, said: list[str]) -> None:
    task = classification(weights=make_spec().url)
    run = trainer(tmp_path, CheckBands(), max_steps=-1, max_epochs=2)
    run.fit(task, datamodule=ChipsDataModule(length=8))
    checked = [message for message in said if message.startswith('bands checked')]
    assert len(checked) == 1
    assert ', '.join(SIX) in checked[0]
    assert not any('NOT checked' in message for message in said)


@pytest.mark.parametrize('stage', ['validate', 'test', 'predict'])
def test_other_stages_are_checked_too(stage: str, tmp_path: Path, make_spec: MakeSpec) -> None:
    class Turned(ChipsDataModule):
        def setup(self, stage: str) -> None:
            super().setup(stage)
            self.predict_dataset = Chips(**self.kwargs)

    task, data = classification(weights=make_spec().url), Turned(bands=SIX[::-1])
    with pytest.raises(DataError, match='same in another order'):
        getattr(trainer(tmp_path, CheckBands()), stage)(task, datamodule=data)


def test_warn_goes_on(tmp_path: Path, make_spec: MakeSpec) -> None:
    task = classification(weights=make_spec().url)
    run = trainer(tmp_path, CheckBands(on_mismatch='warn'))
    with pytest.warns(UserWarning, match='the same in another order'):
        run.fit(task, datamodule=ChipsDataModule(bands=SIX[::-1]))
    assert run.global_step == 1


def test_other_choices_of_on_mismatch_are_refused() -> None:
    with pytest.raises(DataError, match="did you mean 'warn'"):
        CheckBands(on_mismatch='warning')  # type: ignore[arg-type]


def test_other_bands_name_no_remedy_that_does_not_exist(tmp_path: Path) -> None:
    data = ChipsDataModule(bands=['VV', 'VH', *SIX[:4]])
    with pytest.raises(DataError) as caught:
        trainer(tmp_path, CheckBands()).fit(foreign(classification(13)), datamodule=data)
    assert 'the data deliver 6, the weights are for 13' in str(caught.value)
    assert 'Either' not in str(caught.value)
    assert 'Or give' not in str(caught.value)


def test_dropped_first_layer_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'for 13 bands .* 6 input channels.* in_channels: 13'):
        trainer(tmp_path, CheckBands()).fit(foreign(classification()), datamodule=ChipsDataModule())


@pytest.mark.parametrize(
    ('weights', 'why'),
    [
        (None, 'starts without weights'),
        (True, 'those of timm'),
        ('foreign.ckpt', 'foreign.ckpt does not say'),
    ],
)
def test_what_cannot_be_known_is_said(
    weights: object, why: str, tmp_path: Path, said: list[str]
) -> None:
    if isinstance(weights, str):
        weights = str(tmp_path / weights)
        torch.save({}, weights)
    trainer(tmp_path, CheckBands()).fit(
        foreign(classification(), weights), datamodule=ChipsDataModule()
    )
    (message,) = (message for message in said if 'NOT checked' in message)
    assert why in message


class Silent(Chips):
    """Does not say which bands it delivers."""

    def __init__(self, split: str = 'train', **kwargs: object) -> None:
        super().__init__(split)
        self.bands = 6 * [0]  # type: ignore[assignment]


def test_silent_data_are_checked_by_their_channels(
    tmp_path: Path, make_spec: MakeSpec, said: list[str]
) -> None:
    data = ChipsDataModule(Silent)
    trainer(tmp_path, CheckBands()).fit(classification(weights=make_spec().url), datamodule=data)
    assert any('Silent does not say which bands' in message for message in said)
    with pytest.raises(DataError, match=r'deliver 6 channels, .*in_channels=4: set in_channels: 6'):
        trainer(tmp_path, CheckBands()).fit(classification(4), datamodule=data)


@pytest.mark.parametrize('where', ['callback', 'data module'])
def test_silent_data_can_be_spoken_for(where: str, tmp_path: Path, make_spec: MakeSpec) -> None:
    turned = SIX[::-1]
    callback = CheckBands(turned if where == 'callback' else None)
    data = ChipsDataModule(Silent, **({'bands': turned} if where == 'data module' else {}))
    with pytest.raises(DataError, match='same in another order'):
        trainer(tmp_path, callback).fit(classification(weights=make_spec().url), datamodule=data)


def test_loaders_without_a_data_module(tmp_path: Path, make_spec: MakeSpec) -> None:
    loader = torch.utils.data.DataLoader(Subset(Chips(bands=SIX[::-1]), range(4)), batch_size=2)
    with pytest.raises(DataError, match='Chips and geosane:'):
        trainer(tmp_path, CheckBands()).fit(classification(weights=make_spec().url), loader)


def test_weights_from_a_file_that_says_what_it_is(tmp_path: Path, make_spec: MakeSpec) -> None:
    path = tmp_path / 'weights.ckpt'
    export(generate(make_spec()), path)
    task = classification(weights=str(path))
    trainer(tmp_path, CheckBands()).fit(task, datamodule=ChipsDataModule())
    with pytest.raises(DataError, match=r'weights\.ckpt disagree'):
        trainer(tmp_path, CheckBands()).fit(task, datamodule=ChipsDataModule(bands=SIX[::-1]))


@pytest.mark.parametrize(
    ('argument', 'name'),
    [('model', 'geosane_test_resnet.sentinel2_6'), ('backbone', 'tu-geosane_resnet18.sentinel2_6')],
)
def test_names_in_timms_manner(argument: str, name: str, tmp_path: Path) -> None:
    task = foreign(classification(), True)
    task.hparams[argument] = name
    with pytest.raises(DataError) as caught:
        trainer(tmp_path, CheckBands()).fit(task, datamodule=ChipsDataModule(bands=SIX[::-1]))
    whole = name.replace('sentinel2_6', 'sentinel2_6[B12,B11,B8,B4,B3,B2]')
    assert f"{argument}: '{whole}" in str(caught.value)


def test_members_that_cannot_see_the_data(tmp_path: Path) -> None:
    task = foreign(classification(), True)
    task.hparams['model'] = 'geosane_ensemble.test_resnet.sentinel2_6+resnet18.sentinel2_rgb'
    trainer(tmp_path, CheckBands()).fit(task, datamodule=ChipsDataModule(bands=SIX))
    task.hparams['model'] = 'geosane_ensemble.test_resnet.sentinel2_4+resnet18.sentinel1_grd'
    with pytest.raises(DataError) as caught:
        trainer(tmp_path, CheckBands()).fit(task, datamodule=ChipsDataModule(bands=SIX))
    assert 'others; different in 2 positions: 5, 6' in str(caught.value)
    assert 'VH' in str(caught.value)


@pytest.mark.parametrize(
    ('model', 'sensor'), [('unet', 'sentinel2_6*2'), ('fcsiamdiff', 'sentinel2_6')]
)
def test_change_detection(
    model: str, sensor: str, tmp_path: Path, make_spec: MakeSpec, said: list[str]
) -> None:
    task = ChangeDetectionTask(model, 'resnet18', in_channels=6)
    task.weights = make_spec('resnet18', sensor).url
    data = idle(task, ChipsDataModule(target='mask', dates=2))
    trainer(tmp_path, CheckBands()).fit(task, datamodule=data)
    assert any(message.startswith('bands checked') for message in said)
    data.kwargs['bands'] = SIX[::-1]
    with pytest.raises(DataError, match='same in another order') as caught:
        trainer(tmp_path, CheckBands()).fit(task, datamodule=data)
    turned = sensor.replace('sentinel2_6', 'sentinel2_6[B12,B11,B8,B4,B3,B2]')
    assert f'sensor={turned}&' in str(caught.value)
    assert 'bands: [B02, B03, B04, B08, B11, B12]' in str(caught.value)
    other = make_spec('resnet18', 'sentinel2_6' if '*' in sensor else 'sentinel2_6*2')
    task.weights = other.url
    with pytest.raises(DataError, match='cannot be theirs'):
        trainer(tmp_path, CheckBands()).fit(task, datamodule=data)


@pytest.mark.parametrize(('dates', 'fits'), [(3, True), (2, False), (0, False)])
def test_several_dates_at_once(dates: int, fits: bool, tmp_path: Path, make_spec: MakeSpec) -> None:
    task = SemanticSegmentationTask('fcn', in_channels=18, num_classes=2, num_filters=2)
    task.weights = make_spec('resnet18', 'sentinel2_6*3').url
    data = idle(task, ChipsDataModule(target='mask', dates=dates))
    run = trainer(tmp_path, CheckBands())
    if fits:
        run.fit(task, datamodule=data)
    else:
        with pytest.raises(DataError, match='the task has in_channels=18'):
            run.fit(task, datamodule=data)


def test_datasets_in_datasets() -> None:
    one, other = Chips(bands=SIX[:2]), Chips(bands=SIX[2:])
    (nested,) = delivered_by(Subset(Subset(one, [0]), [0]))
    assert (nested.name, nested.bands, nested.selectable) == ('Chips', SIX[:2], True)
    assert [part.bands for part in delivered_by(ConcatDataset([one, Subset(other, [0])]))] == [
        SIX[:2],
        SIX[2:],
    ]


def test_rasters_side_by_side_and_on_top_of_each_other() -> None:
    one, other = (Sentinel2(SCENE, bands=bands, res=10) for bands in (SIX[:2], SIX[3:4]))
    (joined,) = delivered_by(one & other)
    assert joined.bands == (*SIX[:2], SIX[3])
    labels = Sentinel2(SCENE, bands=SIX[3:4], res=10)
    labels.is_image = False
    (masked,) = delivered_by(one & labels)
    assert masked.bands == SIX[:2]
    assert 'B8A' in masked.available
    assert [part.bands for part in delivered_by(one | other)] == [SIX[:2], SIX[3:4]]


def test_the_name_of_a_set_of_bands_does_not_tell() -> None:
    one = Chips()
    one.bands = 's2'  # type: ignore[assignment]
    one.all_bands = SIX  # type: ignore[attr-defined]
    (delivered,) = delivered_by(one)
    assert delivered.bands is None


@given(st.sampled_from([name for sensor in SENSORS.values() for name in sensor.band_names]))
def test_spellings_of_a_band(name: str) -> None:
    assert is_same_band(name, name.lower())
    assert is_same_band(name.removeprefix('SR_'), name)
    assert is_same_band(re.sub(r'^B(\d)', r'B0\1', name), name)
    assert not is_same_band(name, name + '1')


def test_colours_have_several_names() -> None:
    assert is_same_order(['Red', 'green', 'B', 'N'], ['R', 'G', 'Blue', 'NIR'])


def test_from_yaml(tmp_path: Path, make_spec: MakeSpec) -> None:
    config = {
        'trainer': {
            'accelerator': 'cpu',
            'fast_dev_run': True,
            'callbacks': [
                {
                    'class_path': 'torchgeo_geosane.callbacks.CheckBands',
                    'init_args': {'bands': list(SIX[::-1]), 'on_mismatch': 'error'},
                }
            ],
        },
        'model': {
            'class_path': 'torchgeo.trainers.ClassificationTask',
            'init_args': {
                'model': 'test_resnet',
                'weights': make_spec().url,
                'in_channels': 6,
                'num_classes': 2,
            },
        },
        'data': {'class_path': 'chips.ChipsDataModule'},
    }
    path = tmp_path / 'config.yaml'
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(DataError, match='same in another order'):
        torchgeo_main(['fit', '--config', str(path)])
