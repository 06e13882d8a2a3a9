from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import kornia.augmentation as K
import numpy as np
import pytest
import torch
import yaml
from chips import Chips, ChipsDataModule, trainer
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler, Sampler
from torchgeo.main import main as torchgeo_main
from torchgeo.trainers import ClassificationTask, ObjectDetectionTask, SemanticSegmentationTask
from torchvision.ops import FrozenBatchNorm2d

from torchgeo_geosane.callbacks import ConditionBatchNorm
from torchgeo_geosane.callbacks.batch_norm import condition, running_layers
from torchgeo_geosane.errors import DataError


def classification(model: str = 'test_resnet') -> ClassificationTask:
    return ClassificationTask(model, in_channels=6, num_classes=2, lr=0.01)


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


class Recorder(Callback):
    """Keeps the state before the first step, and the batches of the training."""

    def __init__(self) -> None:
        self.start: dict[str, Tensor] = {}
        self.batches: list[Tensor] = []

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self.start = self.start or state(pl_module)
        self.batches.append(batch['image'].clone())


class Augmented(ChipsDataModule):
    """With augmentations that draw from the global random state."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.train_aug = K.AugmentationSequential(
            K.Normalize(self.mean, self.std),
            K.RandomHorizontalFlip(),
            K.RandomVerticalFlip(),
            data_keys=None,
            keepdim=True,
        )


def test_fault_3_conditioning_changes_the_running_statistics(
    tmp_path: Path, said: list[str]
) -> None:
    """The official code conditions in evaluation mode: 0 of 30 buffers change."""
    task, recorder = classification(), Recorder()
    before = state(task)
    statistics = {name for name in before if 'running_' in name}
    run = trainer(tmp_path, ConditionBatchNorm(batches=2), recorder)
    run.fit(task, datamodule=ChipsDataModule())

    changed = {name for name in before if not torch.equal(before[name], recorder.start[name])}
    assert {name for name in changed if 'num_batches' not in name} == statistics
    (message,) = (message for message in said if 'conditioned on' in message)
    assert f'on 8 training images: {len(statistics)} of {len(statistics)} running' in message


class Validated(Callback):
    """Keeps the state that is validated, and what its statistics would be on given images."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder, self.state, self.expected = recorder, {}, {}

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, *_: Any
    ) -> None:
        self.state = state(pl_module)
        model = deepcopy(pl_module)
        condition(model, running_layers(model), [torch.cat(self.recorder.batches)])
        self.expected = state(model)


@pytest.mark.parametrize('before_validation', [True, False])
def test_what_is_validated_has_statistics_of_many_images(
    before_validation: bool, tmp_path: Path
) -> None:
    """Training's own are those of its last few small batches."""
    batches = []
    for callbacks in ([], [ConditionBatchNorm(4, before_validation=before_validation)]):
        seed_everything(0, verbose=False)
        recorder = Recorder()
        validated = Validated(recorder)
        run = trainer(
            tmp_path,
            *callbacks,
            recorder,
            validated,
            max_steps=-1,
            max_epochs=1,
            num_sanity_val_steps=0,
        )
        run.fit(classification(), datamodule=ChipsDataModule())
        batches.append(torch.cat(recorder.batches))
    assert torch.equal(*batches)
    same = [
        torch.allclose(validated.state[name], validated.expected[name], atol=1e-4)
        for name in validated.state
        if 'running_' in name
    ]
    assert all(same) if before_validation else not any(same)


def test_statistics_are_those_of_the_data_as_training_sees_it(tmp_path: Path) -> None:
    task, recorder = classification(), Recorder()
    stem = next(layer for layer in task.model.modules() if isinstance(layer, nn.Conv2d))
    weight = stem.weight.detach().clone()
    run = trainer(tmp_path, ConditionBatchNorm(batches=4), recorder)
    run.fit(task, datamodule=ChipsDataModule())

    images = torch.stack([Chips()[index]['image'] for index in range(16)])
    out = nn.functional.conv2d((images - 50) / 50, weight, None, stem.stride, stem.padding)
    first = next(name for name in recorder.start if name.endswith('running_mean'))
    torch.testing.assert_close(recorder.start[first], out.mean((0, 2, 3)))
    spread = recorder.start[first.replace('mean', 'var')]
    torch.testing.assert_close(spread, out.var((0, 2, 3)))


@pytest.mark.parametrize('workers', [0, 1])
def test_training_sees_the_same_batches_as_without(workers: int, tmp_path: Path) -> None:
    recorders = [Recorder(), Recorder()]
    for callbacks in ([recorders[0]], [ConditionBatchNorm(batches=3), recorders[1]]):
        seed_everything(0, verbose=False)
        run = trainer(tmp_path, *callbacks, max_steps=6, num_sanity_val_steps=0)
        run.fit(classification(), datamodule=Augmented(num_workers=workers))
    for one, other in zip(recorders[0].batches, recorders[1].batches, strict=True):
        assert torch.equal(one, other)


class NumpySampler(Sampler[int]):
    """As TorchGeo's samplers of patches: with a generator of NumPy."""

    def __init__(self, chips: Chips) -> None:
        self._length = len(chips)
        self._rng = np.random.default_rng(3)

    def __iter__(self) -> Iterator[int]:
        yield from self._rng.permutation(self._length).tolist()

    def __len__(self) -> int:
        return self._length


def torch_sampler(chips: Chips) -> Sampler[int]:
    return RandomSampler(chips, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize('sampler_of', [torch_sampler, NumpySampler])
def test_generators_of_samplers_are_put_back(sampler_of: Any, tmp_path: Path) -> None:
    recorders = [Recorder(), Recorder()]
    for callbacks in ([recorders[0]], [ConditionBatchNorm(batches=3), recorders[1]]):
        chips = Chips(length=8)
        loader = DataLoader(chips, batch_size=2, sampler=sampler_of(chips))
        trainer(tmp_path, *callbacks, max_steps=2).fit(classification(), loader)
    for one, other in zip(recorders[0].batches, recorders[1].batches, strict=True):
        assert torch.equal(one, other)


def test_modes_and_momenta_are_put_back(tmp_path: Path) -> None:
    task = classification()
    layers = running_layers(task)
    trainer(tmp_path, ConditionBatchNorm()).fit(task, datamodule=ChipsDataModule())
    assert all(module.training for module in task.model.modules())
    assert {layer.momentum for layer in layers.values()} == {0.1}


def test_encoder_and_decoder_of_a_segmentation_task(tmp_path: Path, said: list[str]) -> None:
    task = SemanticSegmentationTask('unet', 'resnet18', in_channels=6, num_classes=2)
    count = 2 * len(running_layers(task))
    run = trainer(tmp_path, ConditionBatchNorm(batches=1))
    run.fit(task, datamodule=ChipsDataModule(target='mask'))
    assert any(f'{count} of {count} running statistics changed' in message for message in said)


def test_a_detector(tmp_path: Path, said: list[str]) -> None:
    """It sees no boxes: what it would learn from them plays no part."""

    def together(samples: list[dict[str, Tensor]]) -> dict[str, Any]:
        batch = {name: [sample[name] for sample in samples] for name in samples[0]}
        return {**batch, 'image': torch.stack(batch['image'])}

    box = {'bbox_xyxy': torch.tensor([[4.0, 4.0, 30.0, 30.0]]), 'label': torch.tensor([1])}
    samples: Any = [{'image': torch.rand(3, 64, 64), **box} for _ in range(4)]
    loader = DataLoader(samples, batch_size=2, collate_fn=together)
    task = ObjectDetectionTask('fcos', 'resnet18', in_channels=3, num_classes=2)
    count = 2 * len(running_layers(task))
    trainer(tmp_path, ConditionBatchNorm(), limit_val_batches=0).fit(task, loader)
    assert count > 0
    assert any(f'{count} of {count} running statistics changed' in message for message in said)


def test_a_continued_training_is_left_alone(tmp_path: Path, said: list[str]) -> None:
    task = classification()
    keep = ModelCheckpoint(tmp_path, filename='step', every_n_train_steps=1)
    run = trainer(tmp_path, ConditionBatchNorm(), keep, enable_checkpointing=True)
    run.fit(task, datamodule=ChipsDataModule())
    again = trainer(tmp_path, ConditionBatchNorm(), recorder := Recorder(), max_steps=2)
    again.fit(classification(), datamodule=ChipsDataModule(), ckpt_path=tmp_path / 'step.ckpt')
    (message,) = (message for message in said if 'not conditioned' in message)
    assert 'the training continues an earlier one' in message
    saved = torch.load(tmp_path / 'step.ckpt', weights_only=True)['state_dict']
    assert all(torch.equal(saved[name], recorder.start[name]) for name in saved)


def test_without_batch_norm(tmp_path: Path, said: list[str]) -> None:
    run = trainer(tmp_path, ConditionBatchNorm())
    run.fit(classification('test_vit'), datamodule=ChipsDataModule())
    assert any('no layer keeps running statistics' in message for message in said)


class Mixed(ClassificationTask):
    """Has layers that training does not move: of another class, in evaluation, not run."""

    def configure_models(self) -> None:
        super().configure_models()
        self.still = FrozenBatchNorm2d(6)
        self.held = nn.BatchNorm2d(6).eval().requires_grad_(False)
        self.idle = nn.BatchNorm2d(6)
        self.idle.num_batches_tracked.fill_(7)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model(self.held(self.still(x)))
        return logits


def test_what_is_left_out_is_said(tmp_path: Path, said: list[str]) -> None:
    task, recorder = Mixed('test_resnet', in_channels=6, num_classes=2), Recorder()
    before = state(task)
    run = trainer(tmp_path, ConditionBatchNorm(), recorder)
    run.fit(task, datamodule=ChipsDataModule())
    assert any('forward does not reach: 1 layer (idle)' in message for message in said)
    (message,) = (message for message in said if 'because frozen' in message)
    assert message.endswith('2 layers (still, held)')
    for name, tensor in before.items():
        if name.startswith(('still', 'held', 'idle')):
            assert torch.equal(tensor, recorder.start[name]), name


def test_a_frozen_backbone_in_training_mode_is_conditioned(tmp_path: Path) -> None:
    """TorchGeo freezes parameters; running statistics keep moving, so they are conditioned."""
    task = ClassificationTask('test_resnet', in_channels=6, num_classes=2, freeze_backbone=True)
    before, recorder = state(task), Recorder()
    trainer(tmp_path, ConditionBatchNorm(), recorder).fit(task, datamodule=ChipsDataModule())
    assert not any(
        torch.equal(before[name], recorder.start[name]) for name in before if 'running_' in name
    )


@pytest.mark.parametrize('part', ['task', 'model'])
def test_compiled(part: str, tmp_path: Path, said: list[str]) -> None:
    def refuse(*arguments: Any) -> Any:
        raise AssertionError('compiled for a few batches')

    task: Any = classification()
    if part == 'model':
        task.model = torch.compile(task.model, backend=refuse)
    else:
        task = torch.compile(task, backend=refuse)
    run = trainer(tmp_path, ConditionBatchNorm(), num_sanity_val_steps=0)
    with pytest.raises(torch._dynamo.exc.BackendCompilerFailed):  # In the first step.
        run.fit(task, datamodule=ChipsDataModule())
    assert any('conditioned on' in message for message in said)


def test_nothing_changed_is_an_error(tmp_path: Path) -> None:
    task = classification()
    for layer in running_layers(task).values():
        layer.running_var.zero_()
    images = [{'image': torch.zeros(6, 32, 32), 'label': torch.tensor(0)}] * 4
    with pytest.raises(DataError, match=r'0 of \d+ running statistics changed on 4'):
        trainer(tmp_path, ConditionBatchNorm()).fit(task, DataLoader(images, batch_size=2))


def test_no_data_is_an_error() -> None:
    module = nn.BatchNorm2d(3)
    with pytest.raises(DataError, match='yield no batch'):
        condition(module, running_layers(module), [])


def test_several_loaders_are_refused(tmp_path: Path) -> None:
    loaders = {name: DataLoader(Chips(), batch_size=2) for name in 'ab'}
    with pytest.raises(DataError, match='2 training loaders'):
        trainer(tmp_path, ConditionBatchNorm()).fit(classification(), loaders)


def test_batches_must_be_positive() -> None:
    with pytest.raises(DataError, match='1 or more'):
        ConditionBatchNorm(0)


def test_averages_of_unequal_batches() -> None:
    """Every batch counts alike: the plain average of batch means and of unbiased variances."""
    layer = nn.BatchNorm2d(3, momentum=0.3)
    batches = [torch.randn(size, 3, 4, 4) * size + size for size in (2, 3, 5)]
    change = condition(layer, running_layers(layer), batches)
    means = torch.stack([batch.mean((0, 2, 3)) for batch in batches]).mean(0)
    variances = torch.stack([batch.var((0, 2, 3)) for batch in batches]).mean(0)
    torch.testing.assert_close(layer.running_mean, means)
    torch.testing.assert_close(layer.running_var, variances)
    assert (change.images, change.changed, layer.momentum) == (10, 2, 0.3)
    expected = [1.0, ((variances - 1).norm() / variances.norm()).item()]
    assert change.mean == pytest.approx(sum(expected) / 2)


def test_from_yaml(tmp_path: Path, said: list[str]) -> None:
    callback = {
        'class_path': 'torchgeo_geosane.callbacks.ConditionBatchNorm',
        'init_args': {'batches': 1},
    }
    config = {
        'trainer': {'accelerator': 'cpu', 'fast_dev_run': True, 'callbacks': [callback]},
        'model': {
            'class_path': 'torchgeo.trainers.ClassificationTask',
            'init_args': {'model': 'test_resnet', 'in_channels': 6, 'num_classes': 2},
        },
        'data': {'class_path': 'chips.ChipsDataModule'},
    }
    path = tmp_path / 'config.yaml'
    path.write_text(yaml.safe_dump(config))
    torchgeo_main(['fit', '--config', str(path)])
    assert any('BatchNorm conditioned on 4 training images' in message for message in said)
