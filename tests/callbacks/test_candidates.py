import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from chips import Chips, ChipsDataModule, TrainingOnly, trainer
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from specs import MakeSpec
from torch import Tensor
from torchgeo.main import main as torchgeo_main
from torchgeo.trainers import (
    ChangeDetectionTask,
    ClassificationTask,
    PixelwiseRegressionTask,
    RegressionTask,
    SemanticSegmentationTask,
    SimCLRTask,
)

from torchgeo_geosane import Generated, Spec, generate
from torchgeo_geosane.callbacks import ConditionBatchNorm, SelectCandidates, candidates
from torchgeo_geosane.callbacks.candidates import FILE, average
from torchgeo_geosane.errors import ArchitectureError, DataError, SpecError
from torchgeo_geosane.generate import create
from torchgeo_geosane.providers.catalog import timm_name


class Start(Callback):
    """Keeps the state before the first step, and the first batch."""

    def __init__(self) -> None:
        self.state: dict[str, Tensor] = {}

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if not self.state:
            tensors = pl_module.state_dict().items()
            self.state = {name: tensor.detach().clone() for name, tensor in tensors}
            self.image = batch['image'].clone()
            self.training = all(module.training for module in pl_module.modules())


def classification(weights: Any, model: str = 'test_resnet', **kwargs: Any) -> ClassificationTask:
    settings = {'in_channels': 6, 'num_classes': 2, **kwargs}
    return ClassificationTask(model, weights, **settings)


def weighted(task: Any, weights: str) -> LightningModule:
    """As if the task had started from these weights."""
    task.weights = weights
    return task


def without_head(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The backbone's part of a classification task's state."""
    named = {name.removeprefix('model.'): tensor for name, tensor in state.items()}
    return {
        name: tensor for name, tensor in named.items() if name.partition('.')[0] not in 'fc head'
    }


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() <= other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def fit(folder: Path, callback: SelectCandidates, task: LightningModule, **data: Any) -> Start:
    start = Start()
    seed_everything(0, verbose=False)  # Which images are drawn.
    trainer(folder, callback, start).fit(task, datamodule=ChipsDataModule(**data))
    return start


@pytest.fixture
def blurred(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spoils all candidates but that of seed 2: they see next to nothing."""

    def spoil(spec: Spec, seeds: Sequence[int], **kwargs: Any) -> list[Generated]:
        made = create(spec, seeds, **kwargs)
        for seed, generated in zip(seeds, made, strict=True):
            if seed != 2:
                for tensor in generated.tensors.values():
                    tensor.mul_(0)
        return made

    monkeypatch.setattr(candidates, 'create', spoil)


def test_fault_4_candidates_are_ranked_on_training_data_alone(
    tmp_path: Path, make_spec: MakeSpec
) -> None:
    """The official code ranks candidates with a random head on the evaluation split."""
    callback, task = SelectCandidates(3), classification(make_spec().url)
    head = {name: tensor.clone() for name, tensor in task.state_dict().items() if 'fc' in name}
    start = Start()
    run = trainer(tmp_path, callback, start, limit_val_batches=0)
    run.fit(task, datamodule=TrainingOnly())
    assert callback.choice is not None
    assert len(callback.choice.candidates) == 3
    assert head
    assert equal(head, start.state)  # The head took no part, and is as it was.
    assert start.training


@pytest.mark.usefixtures('blurred')
@pytest.mark.parametrize('kind', ['knn', 'linear'])
def test_the_candidate_that_sees_something_wins(
    kind: Any, tmp_path: Path, make_spec: MakeSpec, said: list[str]
) -> None:
    spec = make_spec()
    callback = SelectCandidates(4, probe=kind)
    start = fit(tmp_path, callback, classification(spec.url), length=64)
    choice = callback.choice
    assert choice is not None
    best, *others = choice.candidates
    assert best.url == replace(spec, seed=2).url
    assert best.score > 0.7
    assert all(other.score == 0.5 for other in others)  # Half of two classes.
    chosen = generate(replace(spec, seed=2))
    assert best.key == chosen.provenance.key
    assert equal(without_head(start.state), chosen.tensors)

    (table,) = (message for message in said if 'ranked by' in message)
    assert all(f'{one.score:6.3f}' in table and one.url in table for one in choice.candidates)
    written = json.loads((tmp_path / FILE).read_text())
    assert [one['url'] for one in written['candidates']] == [one.url for one in choice.candidates]
    assert (written['probe'], written['measure']) == (kind, 'balanced accuracy')
    assert (written['images'], written['kept'], written['average']) == (64, 1, None)


def test_what_was_fitted_is_not_scored(tmp_path: Path, make_spec: MakeSpec) -> None:
    """A probe learns a few labels by heart, whatever they are."""
    callback = SelectCandidates(2, probe='linear')
    fit(
        tmp_path,
        callback,
        classification(make_spec().url),
        target='nothing that shows',
        length=64,
    )
    assert callback.choice is not None
    assert callback.choice.candidates[0].score < 0.75


def test_running_statistics_of_the_prompt_do_not_count(
    tmp_path: Path, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training replaces them at once, so candidates are ranked with those of the data."""

    def mislead(*arguments: Any, **kwargs: Any) -> list[Generated]:
        made = create(*arguments, **kwargs)
        for generated in made:
            for name, tensor in generated.tensors.items():
                tensor.fill_(1e20) if 'running_' in name else None
        return made

    choices = []
    for make in (create, mislead):
        monkeypatch.setattr(candidates, 'create', make)
        task = RegressionTask('test_resnet', weights=make_spec().url, in_channels=6)
        callback = SelectCandidates(2, probe='linear')
        start = fit(tmp_path, callback, task, target='value')
        choices.append(callback.choice)
    assert choices[0] == choices[1]
    # What is kept is the candidate as it is; conditioning it is for ConditionBatchNorm.
    assert all((start.state[name] == 1e20).all() for name in start.state if 'running_' in name)


def test_the_best_few_are_averaged(tmp_path: Path, make_spec: MakeSpec) -> None:
    spec = make_spec()
    callback = SelectCandidates(3, keep=2)
    start = fit(tmp_path, callback, classification(spec.url))
    assert callback.choice is not None
    urls = [one.url for one in callback.choice.candidates[:2]]
    kept = [generate(Spec.parse(url)).tensors for url in urls]
    name = next(name for name in without_head(start.state) if name.endswith('weight'))
    torch.testing.assert_close(without_head(start.state)[name], (kept[0][name] + kept[1][name]) / 2)
    assert isinstance(callback.choice.average, float)


def test_average_keeps_types_and_counters() -> None:
    states = [
        {'a': torch.tensor([x], dtype=torch.float16), 'n': torch.tensor(int(x))} for x in (1.0, 2.0)
    ]
    mean = average(states)
    assert mean['a'].dtype == torch.float16
    assert (mean['a'].item(), mean['n'].item()) == (1.5, 1)


def test_the_seed_decides_and_nothing_else_is_random(tmp_path: Path, make_spec: MakeSpec) -> None:
    chosen, images = [], []
    for callbacks in ([], [SelectCandidates(2)], [SelectCandidates(2), ConditionBatchNorm(2)]):
        seed_everything(1, verbose=False)
        start = Start()
        task = classification(make_spec().url)
        trainer(tmp_path, *callbacks, start).fit(task, datamodule=ChipsDataModule())
        images.append(start.image)
        chosen += [callback.choice for callback in callbacks if hasattr(callback, 'choice')]
    assert torch.equal(images[0], images[1])
    assert torch.equal(images[0], images[2])
    assert chosen[0] == chosen[1]


def test_the_choice_travels_with_the_checkpoint(
    tmp_path: Path, make_spec: MakeSpec, said: list[str]
) -> None:
    callback, task = SelectCandidates(2), classification(make_spec().url)
    keep = ModelCheckpoint(tmp_path, filename='step', every_n_train_steps=1)
    run = trainer(tmp_path, callback, keep, enable_checkpointing=True)
    run.fit(task, datamodule=ChipsDataModule())
    path = tmp_path / 'step.ckpt'
    stored = torch.load(path, weights_only=True)['callbacks']['SelectCandidates']
    assert callback.choice is not None
    assert [one['score'] for one in stored['candidates']] == [
        one.score for one in callback.choice.candidates
    ]
    again = SelectCandidates(2)
    trainer(tmp_path, again, max_steps=2).fit(
        classification(None), datamodule=ChipsDataModule(), ckpt_path=path
    )
    assert any('no candidates drawn' in message for message in said)
    assert again.choice == callback.choice


@pytest.mark.parametrize(
    ('kind', 'settings', 'measure'),
    [
        ('label', {'task': 'binary', 'num_classes': None, 'loss': 'bce'}, 'balanced accuracy'),
        (
            'labels',
            {'task': 'multilabel', 'num_classes': None, 'num_labels': 2, 'loss': 'bce'},
            'mean average precision',
        ),
    ],
)
def test_labels_of_other_kinds(
    kind: str, settings: dict[str, Any], measure: str, tmp_path: Path, make_spec: MakeSpec
) -> None:
    callback, task = SelectCandidates(2), classification(make_spec().url, **settings)
    fit(tmp_path, callback, task, target=kind, length=64)
    assert callback.choice is not None
    assert callback.choice.measure == measure
    assert callback.choice.candidates[0].score > 0.7


def test_regression(tmp_path: Path, make_spec: MakeSpec) -> None:
    callback = SelectCandidates(2, probe='linear')
    task = RegressionTask('test_resnet', weights=make_spec().url, in_channels=6)
    fit(tmp_path, callback, task, target='value', length=64)
    assert callback.choice is not None
    assert callback.choice.measure == 'R2'
    assert 0.5 < callback.choice.candidates[0].score <= 1


@pytest.mark.parametrize(
    ('task_class', 'architecture', 'name'),
    [
        (SemanticSegmentationTask, 'test_convnext', 'model.stages_3.blocks.0.conv_dw.weight'),
        (PixelwiseRegressionTask, 'resnet18', 'layer4.1.conv2.weight'),
    ],
)
def test_maps(
    task_class: Any, architecture: str, name: str, tmp_path: Path, make_spec: MakeSpec
) -> None:
    spec = make_spec(architecture)
    by_name = architecture != 'resnet18'  # Of smp's own encoders few have timm's names of tensors.
    task = task_class(
        'unet',
        f'tu-{timm_name(spec)}' if by_name else 'resnet18',
        by_name or spec.url,
        in_channels=6,
        **({'num_classes': 2} if task_class is SemanticSegmentationTask else {}),
    )
    callback = SelectCandidates(2)
    start = fit(tmp_path, callback, task, target='mask' if by_name else 'heights')
    assert callback.choice is not None
    assert callback.choice.measure == 'R2'
    chosen = generate(Spec.parse(callback.choice.candidates[0].url)).tensors
    plain = name.removeprefix('model.').replace('stages_', 'stages.')
    assert torch.equal(start.state[f'model.encoder.{name}'], chosen[plain])


@pytest.mark.parametrize(('model', 'images'), [('fcsiamdiff', 1), ('unet', 2)])
def test_two_dates(model: str, images: int, tmp_path: Path, make_spec: MakeSpec) -> None:
    class Changes(ChipsDataModule):
        def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
            return {'image': batch['image'], 'mask': batch['mask'].unsqueeze(1)}

    spec = make_spec(sensor='sentinel2_6' + ('*2' if images == 2 else ''))
    task = ChangeDetectionTask(model, f'tu-{timm_name(spec)}', True, in_channels=6)
    callback = SelectCandidates(2)
    trainer(tmp_path, callback).fit(task, datamodule=Changes(target='mask', dates=2))
    assert callback.choice is not None
    assert callback.choice.images == 16


def test_a_compiled_model(tmp_path: Path, make_spec: MakeSpec) -> None:
    task, callback = classification(make_spec().url), SelectCandidates(2)
    task.model = torch.compile(task.model, backend='eager')
    start = fit(tmp_path, callback, task)
    assert callback.choice is not None
    chosen = generate(Spec.parse(callback.choice.candidates[0].url)).tensors
    state = {name.replace('_orig_mod.', ''): tensor for name, tensor in start.state.items()}
    assert equal(without_head(state), chosen)


def test_a_frozen_backbone(tmp_path: Path, make_spec: MakeSpec) -> None:
    task, callback = classification(make_spec().url, freeze_backbone=True), SelectCandidates(2)
    fit(tmp_path, callback, task)
    assert callback.choice is not None
    assert not any(parameter.requires_grad for parameter in task.model.layer1.parameters())


def test_candidates_that_are_alike_are_said_to_be(
    tmp_path: Path, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        candidates, 'create', lambda spec, seeds, **_: [generate(spec) for _ in seeds]
    )
    with pytest.warns(UserWarning, match='cannot tell the candidates apart'):
        fit(tmp_path, SelectCandidates(2), classification(make_spec().url))


def test_large_models_are_generated_in_turn(
    tmp_path: Path, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups: list[list[int]] = []

    def watch(spec: Spec, seeds: Sequence[int], **kwargs: Any) -> list[Generated]:
        groups.append(list(seeds))
        return create(spec, seeds, **kwargs)

    monkeypatch.setattr(candidates, 'create', watch)
    fit(tmp_path, SelectCandidates(3), classification(make_spec(seed=5).url))
    monkeypatch.setattr(candidates, '_GROUP_BYTES', 1)
    fit(tmp_path, SelectCandidates(2), classification(make_spec(seed=5).url))
    assert groups == [[5, 6, 7], [5], [6]]


@pytest.mark.parametrize(
    ('task', 'error', 'message'),
    [
        (lambda url: classification(None), SpecError, 'started from None: name some'),
        (
            lambda url: classification(url, 'test_resnet'),
            DataError,
            '2 training images are too few',
        ),
        (
            lambda url: weighted(SimCLRTask('resnet18', in_channels=6), url),
            ArchitectureError,
            'supported are Classification, Regression',
        ),
    ],
)
def test_what_cannot_be_done_is_said(
    task: Any, error: type[Exception], message: str, tmp_path: Path, make_spec: MakeSpec
) -> None:
    run = trainer(tmp_path, SelectCandidates(2), num_sanity_val_steps=0)
    with pytest.raises(error, match=message):
        run.fit(task(make_spec().url), datamodule=ChipsDataModule(length=2, batch_size=2))


def test_another_architecture_than_the_weights(tmp_path: Path, make_spec: MakeSpec) -> None:
    task = weighted(classification(None), make_spec('test_vit').url)
    with pytest.raises(ArchitectureError, match="backbone is another than 'test_vit'"):
        fit(tmp_path, SelectCandidates(2), task)
    with pytest.raises(ArchitectureError, match='for 3 bands'):
        fit(tmp_path, SelectCandidates(2), weighted(task, make_spec(sensor='rgb').url))


def test_masks_without_labels(tmp_path: Path, make_spec: MakeSpec) -> None:
    class Unlabelled(Chips):
        def __getitem__(self, index: int) -> dict[str, Tensor]:
            sample = super().__getitem__(index)
            return {'image': sample['image'], 'label': torch.tensor(7)}

    task = classification(make_spec().url)
    with pytest.raises(DataError, match='no labels to probe for'):
        trainer(tmp_path, SelectCandidates(2), num_sanity_val_steps=0).fit(
            task, datamodule=ChipsDataModule(Unlabelled)
        )


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'candidates': 1}, 'draw 2 or more'),
        ({'candidates': 3, 'keep': 4}, '4 of 3 candidates'),
        ({'probe': 'linaer'}, "did you mean 'linear'"),
        ({'batches': 0}, '1 or more'),
    ],
)
def test_arguments_that_make_no_sense(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        SelectCandidates(**arguments)


def test_from_yaml(tmp_path: Path, make_spec: MakeSpec, said: list[str]) -> None:
    callback = {
        'class_path': 'torchgeo_geosane.callbacks.SelectCandidates',
        'init_args': {'candidates': 2, 'probe': 'linear'},
    }
    config = {
        'trainer': {
            'accelerator': 'cpu',
            'max_steps': 1,
            'logger': False,
            'enable_checkpointing': False,
            'default_root_dir': str(tmp_path),
            'callbacks': [callback],
        },
        'model': {
            'class_path': 'torchgeo.trainers.ClassificationTask',
            'init_args': {
                'model': timm_name(make_spec()),
                'weights': True,
                'in_channels': 6,
                'num_classes': 2,
            },
        },
        'data': {'class_path': 'chips.ChipsDataModule'},
    }
    path = tmp_path / 'config.yaml'
    path.write_text(yaml.safe_dump(config))
    torchgeo_main(['fit', '--config', str(path)])
    assert any('2 candidates, ranked by a linear probe' in message for message in said)
    assert (tmp_path / FILE).exists()
