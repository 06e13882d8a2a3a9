"""Which candidate is chosen, from what, and what becomes of the choice."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from chips import ChipsDataModule, TrainingOnly, trainer
from lightning.pytorch import seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from selecting import Start, classification, equal, fit, without_head
from specs import MakeSpec
from torchgeo.main import main as torchgeo_main
from torchgeo.trainers import RegressionTask

from torchgeo_geosane import Generated, Spec, generate
from torchgeo_geosane.callbacks import ConditionBatchNorm, SelectCandidates, candidates
from torchgeo_geosane.callbacks.candidates import FILE, average
from torchgeo_geosane.generate import create
from torchgeo_geosane.providers.catalog import timm_name


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
