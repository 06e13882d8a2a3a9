"""The whole ranking: what wins, what is left behind, what is refused."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torchgeo.trainers import ClassificationTask, SemanticSegmentationTask
from toy_tiles import scene_fit, toy_fit

from torchgeo_geosane import generate
from torchgeo_geosane.cli import main
from torchgeo_geosane.errors import DataError, GeoSANEError, PromptError, SpecError
from torchgeo_geosane.prompts import hub
from torchgeo_geosane.providers.catalog import find_spec
from torchgeo_geosane.rank import Ranking, Wanted, features, rank
from torchgeo_geosane.rank.report import write_report, yaml_lines

pytestmark = pytest.mark.filterwarnings('ignore')

Capture = pytest.CaptureFixture[str]


def named(*paths: Path | str, **options: Any) -> Wanted:
    """A ranking of some files alone."""
    options = {'only_names': True, 'offline': True, **options}
    return Wanted(names=tuple(map(str, paths)), **options)


def names(ranking: Ranking) -> list[str]:
    return [each.contender.name for each in ranking.ranked]


def score(ranking: Ranking, name: str) -> float:
    (found,) = [each for each in ranking.ranked if name in each.contender.name]
    return found.scores[ranking.wanted.probe].mean


@pytest.mark.parametrize('probe', ['linear', 'knn'])
def test_weights_that_see_something_win(probe: Any, seeing: Path, blind: Path) -> None:
    """On training data alone: the data module serves nothing else."""
    ranking = rank(toy_fit(), named(seeing, blind, probe=probe))
    assert ranking.measure == 'balanced accuracy'
    assert [Path(name).stem for name in names(ranking)] == ['seeing', 'blind']
    assert score(ranking, 'seeing') > 0.9
    assert score(ranking, 'blind') == pytest.approx(0.5, abs=0.1)
    assert [each.is_as_good for each in ranking.ranked] == [True, False]
    assert ranking.data.sensor.name == 'sentinel2_4'


def test_regression(seeing: Path, blind: Path) -> None:
    ranking = rank(toy_fit('RegressionTask', target='value'), named(seeing, blind))
    assert ranking.measure == 'R2'
    assert score(ranking, 'seeing') > 0.5 > score(ranking, 'blind')


def test_segmentation(scene: tuple[Path, Path], seeing: Path, blind: Path) -> None:
    """Pixels are told apart, in the bands that the imagery states."""
    ranking = rank(scene_fit(*scene), named(seeing, blind))
    assert ranking.measure == 'balanced accuracy'
    assert ranking.data.sensor.name == 'sentinel2_all[B2,B3,B4,B8]'
    assert score(ranking, 'seeing') > 0.1 + score(ranking, 'blind')
    lines = yaml.safe_load(yaml_lines(ranking, ranking.ranked[0]))
    arguments = scene_fit(*scene)['model']['init_args'] | lines
    task = SemanticSegmentationTask(**arguments)
    wanted = generate(ranking.ranked[0].contender.spec).tensors['layer1.0.conv1.weight']
    held = task.model.encoder.state_dict()
    (found,) = [tensor for name, tensor in held.items() if name.endswith('layer1.0.conv1.weight')]
    assert torch.equal(found, wanted)


def test_everything_that_is_here(seeing: Path) -> None:
    """Random starts, cached generated weights, named files; what would be fetched is named."""
    made = find_spec('geosane://test_resnet?sensor=sentinel2_4&prompt=random')
    generate(made)
    wanted = Wanted(
        names=(str(seeing),), architecture=('test_resnet', 'test_effi*t'), offline=True, splits=2
    )
    ranking = rank(toy_fit(), wanted)
    assert sorted(each.contender.kind for each in ranking.ranked) == [
        *('generated', 'prompt', 'random', 'random')
    ]
    assert {each.contender.spec.architecture for each in ranking.ranked} == {
        *('test_resnet', 'test_efficientnet')
    }
    assert ranking.skipped['timm:test_resnet.r160_in1k'] == 'not on this machine (--offline)'
    assert len(ranking.pairs) == 1, 'random starts are no company'


def test_a_download_counts_as_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of TorchGeo's in torch's hub is ranked; one that is damaged is skipped and named."""
    monkeypatch.setattr('torch.hub._hub_dir', str(tmp_path))
    prompt = 'torchgeo:ResNet18_Weights.SENTINEL2_ALL_MOCO'
    from torchgeo.models import ResNet18_Weights

    path = hub.downloaded(ResNet18_Weights.SENTINEL2_ALL_MOCO.url)
    path.parent.mkdir(parents=True)
    path.write_bytes(b'no weights')
    ranking = rank(toy_fit(), named(prompt, 'random', splits=2))
    assert names(ranking) == ['random test_resnet']
    assert 'is truncated or not a readable file of weights' in ranking.skipped[prompt]


def test_no_network_is_found_out_once(seeing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def refuse(url: str) -> None:
        asked.append(url)
        raise OSError('no route')

    monkeypatch.setattr('torchgeo_geosane.rank.ranking.require_answer', refuse)
    monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', False)
    missing = ('timm:resnet18', 'timm:resnet34', 'timm:resnet50')
    ranking = rank(toy_fit(), named(seeing, *missing, offline=False, splits=2))
    assert len(ranking.ranked) == 1
    assert len(ranking.skipped) == 3
    assert all('does not answer (no route)' in why for why in ranking.skipped.values())
    assert len(asked) == 1
    with pytest.raises(PromptError, match='no weights could be ranked'):
        rank(toy_fit(), named(*missing, offline=False))


def test_features_are_computed_once(
    seeing: Path, blind: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = rank(toy_fit(), named(seeing, splits=3))
    computed = []
    plain = features.observe_tensors

    def watch(spec: Any, tensors: Any, data: Any) -> Any:
        computed.append(spec.prompts[0])
        return plain(spec, tensors, data)

    monkeypatch.setattr(features, 'observe_tensors', watch)
    second = rank(toy_fit(), named(seeing, blind, splits=3))
    assert [Path(name).stem for name in computed] == ['blind']
    assert score(second, 'seeing') == score(first, 'seeing')
    rank(toy_fit(length=32), named(seeing, splits=3))
    assert len(computed) == 2, 'other data'


def test_a_damaged_cache_is_computed_again(seeing: Path, cache_directory: Path) -> None:
    first = rank(toy_fit(), named(seeing, splits=3))
    (held,) = (cache_directory / 'features').glob('*.safetensors')
    held.write_bytes(b'damaged')
    assert rank(toy_fit(), named(seeing, splits=3)).ranked[0].scores == first.ranked[0].scores


def test_the_command(seeing: Path, blind: Path, tmp_path: Path, capsys: Capture) -> None:
    config = tmp_path / 'fit.yaml'
    config.write_text(yaml.safe_dump(toy_fit()))
    output = tmp_path / 'out'
    options = ['--offline', '--splits=3', f'--output={output}', '--architecture', 'test_resnet']
    assert main(['rank', f'--config={config}', *options, '--names', str(seeing), str(blind)]) == 0
    printed = capsys.readouterr().out
    assert 'seeing.safetensors *' in printed
    assert 'timm:test_resnet.r160_in1k' in printed.partition('not ranked: ')[2]
    assert "model: 'geosane_test_resnet.sentinel2_4" in printed
    page = (output / 'rank.html').read_text()
    assert page.count('data:image/png;base64,') == 2
    with (output / 'rank.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert [row['place'] for row in rows] == ['1', '2', '3']
    assert rows[0]['bands'] == '4 copied'
    with (output / 'pairs.csv').open() as file:
        (pair,) = csv.DictReader(file)
    assert float(pair['features_cka']) >= 0 or pair['features_cka'] == 'nan'


def test_the_yaml_line_is_the_weights(seeing: Path) -> None:
    ranking = rank(toy_fit(), named(seeing, splits=2))
    lines = yaml.safe_load(yaml_lines(ranking, ranking.ranked[0]))
    task = ClassificationTask(**lines, in_channels=4, num_classes=2)
    from safetensors.torch import load_file

    name = 'layer1.0.conv1.weight'
    assert torch.equal(task.model.state_dict()[name], load_file(seeing)[name])
    assert ranking.ranked[0].size == seeing.stat().st_size


def test_one_set_of_weights_needs_no_company(seeing: Path, tmp_path: Path) -> None:
    ranking = rank(toy_fit(), named(seeing, splits=2))
    assert ranking.pairs == ()
    assert 'Which mix' not in write_report(ranking, tmp_path).page.read_text()


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'data': None}, "the config has no 'data': weights are judged by labels"),
        ({'model': None}, "the config has no 'model'"),
        (
            {'data': {'class_path': 'toy_tiles.NoTraining'}},
            'no training data .* weights are judged by labels of the training data',
        ),
        (
            {'data': {'class_path': 'toy_tiles.TilesDataModule', 'init_args': {'target': None}}},
            'a batch has no "label" to probe for.* classification, regression or segmentation',
        ),
        (
            {'data': {'class_path': 'toy_tiles.TilesDataModule', 'init_args': {'named': False}}},
            'Tiles does not say which bands it delivers: name them by --sensor',
        ),
        (
            {
                'model': {
                    'class_path': 'torchgeo.trainers.BYOLTask',
                    'init_args': {'in_channels': 4},
                }
            },
            'the backbone of a BYOLTask cannot be found: supported are Classification',
        ),
        ({'data': {'class_path': 'nobody.Knows'}}, 'the fit cannot be built'),
    ],
)
def test_configs_that_cannot_be_judged(changes: Any, message: str, seeing: Path) -> None:
    with pytest.raises(GeoSANEError, match=message):
        rank({**toy_fit(), **changes}, named(seeing))


def test_a_scene_without_labels(scene: tuple[Path, Path], seeing: Path) -> None:
    fit = scene_fit(*scene)
    del fit['data']['init_args']['labels']
    del fit['data']['init_args']['classes']
    with pytest.raises(DataError, match='weights are judged by labels of the training data'):
        rank(fit, named(seeing))


@pytest.mark.parametrize(
    ('wanted', 'message'),
    [
        ({'sensor': 'rgb'}, "the images have 4 channels, but 'rgb' has 3 bands"),
        ({'architecture': ('resnet5',)}, "unknown architecture 'resnet5': did you mean"),
        ({'names': ('ukis:6b',)}, "unknown prompt 'ukis:6b'"),
        ({'names': ('GeoSANE_ResNet51_Weights.RGB',)}, 'unknown weights'),
        (
            {'licence': ('gpl*',), 'names': ('ukis:6b_l1c',), 'only_names': True},
            'its licence is Apache',
        ),
    ],
)
def test_wishes_that_cannot_be_met(wanted: Any, message: str) -> None:
    with pytest.raises(GeoSANEError, match=message):
        rank(toy_fit(), Wanted(**wanted, offline=True))


@pytest.mark.parametrize(
    'wanted', [{'probe': 'liner'}, {'splits': 1}, {'batches': 0}, {'only_names': True}]
)
def test_options_out_of_range(wanted: Any) -> None:
    with pytest.raises(SpecError):
        Wanted(**wanted)


def test_an_architecture_that_cannot_see_such_images_is_skipped(seeing: Path) -> None:
    wanted = Wanted(
        names=(str(seeing), 'geosane://crossvit_9_240?sensor=rgb&prompt=random&sampler=average'),
        only_names=True,
        offline=True,
        splits=2,
    )
    ranking = rank(toy_fit(), wanted)
    assert len(ranking.ranked) + len(ranking.skipped) == 2
