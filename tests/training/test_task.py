"""The training step: two views, noise, micro-batches."""

import dataclasses

import pytest
import torch
from torch.utils.data import default_collate

from torchgeo_geosane.errors import FoundryError
from torchgeo_geosane.foundry.loss import reconstruction_loss
from torchgeo_geosane.training import FoundryTask, OptimisationConfig, TokenWindows
from torchgeo_geosane.training.data import TokenBatch


@pytest.fixture
def batch(models, foundry) -> TokenBatch:
    """Four windows."""
    windows = TokenWindows(models, foundry, 4, seed=0)
    return default_collate([windows[i] for i in range(4)])


def gradient(task: FoundryTask, *parts: TokenBatch) -> torch.Tensor:
    task.zero_grad()
    for number, part in enumerate(parts):
        (task.losses(part, number)['loss'] / len(parts)).backward()
    return torch.cat([p.grad.flatten() for p in task.parameters() if p.grad is not None])


def halves(batch: TokenBatch) -> list[TokenBatch]:
    return [{name: value[rows] for name, value in batch.items()} for rows in ([0, 1], [2, 3])]


def test_micro_batches_have_the_gradient_of_the_batch(foundry, optimisation, batch):
    # Of one window little is real: where means of parts go wrong.
    batch['mask'][0, 5:] = False
    batch['tokens'][0, 5:] = 0
    options = dataclasses.replace(optimisation, gamma=0.0, noise=0.0, normalisation='token')
    task = FoundryTask(foundry, options)
    torch.testing.assert_close(
        gradient(task, *halves(batch)), gradient(task, batch), rtol=1e-4, atol=1e-6
    )


def test_noise_is_that_of_the_number_alone(foundry, optimisation, batch):
    task = FoundryTask(foundry, optimisation)
    first = task.losses(batch, 3)['loss']
    torch.randn(5)
    assert task.losses(batch, 3)['loss'].equal(first)
    assert not task.losses(batch, 4)['loss'].equal(first)


def test_the_views_have_noise_of_their_own(foundry, optimisation, batch, monkeypatch):
    seen = []
    task = FoundryTask(foundry, optimisation)
    encode = task.model.encode_embedded
    monkeypatch.setattr(
        task.model, 'encode_embedded', lambda *a: seen.append(a[0]) or encode(*a), raising=False
    )
    task.losses(batch, 0)
    first, second = (seen[0] / batch['tokens'].repeat(2, 1, 1)).chunk(2)
    assert not first.equal(second)
    for view in (first, second):
        noise = view[batch['mask']] - 1
        assert noise.std() == pytest.approx(0.1, rel=0.1)
        assert noise.mean() == pytest.approx(0, abs=0.01)


def test_without_noise_the_views_agree(foundry, optimisation, batch):
    task = FoundryTask(foundry, dataclasses.replace(optimisation, noise=0.0))
    losses = task.losses(batch, 0)
    alone = FoundryTask(foundry, dataclasses.replace(optimisation, noise=0.0, gamma=0.0))
    torch.testing.assert_close(
        losses['reconstruction'], alone.losses(batch, 0)['reconstruction'], rtol=1e-5, atol=0
    )
    assert losses['contrast_accuracy'] == 1


def test_the_second_view_is_what_the_data_give(foundry, optimisation, batch):
    other = batch['tokens'].flip(-1)
    options = dataclasses.replace(optimisation, noise=0.0, normalisation='token')
    task = FoundryTask(foundry, options)
    found = task.losses({**batch, 'view': other}, 0)['reconstruction']
    expected = [
        reconstruction_loss(
            task.model.decode(task.model.encode(x, batch['positions']), batch['positions']),
            x,
            batch['mask'],
            'token',
        )
        for x in (batch['tokens'], other)
    ]
    torch.testing.assert_close(found, sum(expected) / 2)


def test_gamma_shares_the_loss_out(foundry, optimisation, batch):
    losses = FoundryTask(foundry, dataclasses.replace(optimisation, gamma=0.3)).losses(batch, 0)
    expected = 0.7 * losses['reconstruction'] + 0.3 * losses['contrast']
    torch.testing.assert_close(losses['loss'], expected)


def test_without_contrast_the_head_is_left_alone(foundry, optimisation, batch):
    task = FoundryTask(foundry, dataclasses.replace(optimisation, gamma=0.0))
    task.losses(batch, 0)['loss'].backward()
    without = {name for name, p in task.named_parameters() if p.requires_grad and p.grad is None}
    assert not without, 'several processes would wait for their gradients'
    assert not any(p.requires_grad for p in task.model.projection_head.parameters())


def test_contrast_needs_a_projection_head(foundry, optimisation):
    with pytest.raises(FoundryError, match='projection_dim'):
        FoundryTask(dataclasses.replace(foundry, projection_dim=0), optimisation)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({}, 'either steps or epochs'),
        ({'steps': 3, 'epochs': 1.0}, 'either steps or epochs'),
        ({'steps': 0}, 'steps must be at least 1, not 0'),
        ({'epochs': -1.0}, 'epochs must be above 0'),
        ({'steps': 3, 'accumulate': 0}, 'accumulate must be at least 1'),
        ({'steps': 3, 'gamma': 1.5}, 'gamma must be from 0 to 1'),
        ({'steps': 3, 'gamma': 0.0, 'permute': True}, 'permute changes the second view'),
    ],
)
def test_bad_options(changes, message):
    with pytest.raises(FoundryError, match=message):
        OptimisationConfig(**changes)


def test_a_batch_is_shared_by_processes_and_micro_batches():
    options = OptimisationConfig(steps=1, batch_size=24, accumulate=3)
    assert options.micro_batch(1) == 8
    assert options.micro_batch(4) == 2
    with pytest.raises(FoundryError, match=r'choose a multiple of 15'):
        options.micro_batch(5)
    with pytest.raises(FoundryError, match='which has only one'):
        options.micro_batch(8)
    assert dataclasses.replace(options, gamma=0.0).micro_batch(8) == 1


def test_epochs_are_passes_over_the_tokens():
    options = OptimisationConfig(epochs=2.5, batch_size=8)
    assert options.total_steps(tokens=512 * 80, window=512) == 25
    assert options.total_steps(tokens=512 * 80 + 1, window=512) == 26
