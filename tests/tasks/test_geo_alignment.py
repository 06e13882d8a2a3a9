import socket
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from lightning.pytorch import Trainer
from torch import Tensor, multiprocessing
from torch.utils.data import DataLoader
from torchgeo.trainers import ClassificationTask

from torchgeo_geosane.errors import ArchitectureError, DataError, LocationError, SpecError
from torchgeo_geosane.tasks import GeoAlignmentTask
from torchgeo_geosane.tasks.contrast import info_nce

SMALL = {
    'satellite': 'test_resnet',
    'photo': 'test_vit',
    'in_channels': 4,
    'embed_dim': 8,
    'location_hidden': 8,
    'queue_size': 6,
}


def made(**options: Any) -> GeoAlignmentTask:
    torch.manual_seed(0)
    return GeoAlignmentTask(**{**SMALL, **options})


def batch(n: int = 4, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        'image': torch.randn(n, 4, 64, 64, generator=generator),
        'photo': torch.randn(n, 3, 160, 160, generator=generator),
        'point': 2 * torch.rand(n, 2, generator=generator, dtype=torch.float64) - 1,
        'location': 100 * torch.rand(n, 2, generator=generator, dtype=torch.float64) - 50,
    }


def trainer(**options: Any) -> Trainer:
    quiet = {
        'enable_progress_bar': False,
        'enable_model_summary': False,
        'enable_checkpointing': False,
        'logger': False,
        'accelerator': 'cpu',
        'max_epochs': 1,
    }
    return Trainer(**{**quiet, **options})


def samples(n: int = 8) -> list[dict[str, Tensor]]:
    whole = batch(n)
    return [{name: values[i] for name, values in whole.items()} for i in range(n)]


def test_the_losses_are_the_papers() -> None:
    task, data = made().eval(), batch()
    task._enqueue(batch(3, seed=9)['location'])
    found = task.embed(data)
    losses = task.losses(found, data['location'])
    none, own = torch.zeros(4, 4, dtype=torch.bool), torch.arange(4)
    incl = info_nce(found.photo, found.local, none, own, 0.07) + info_nce(
        found.local, found.photo, none, own, 0.07
    )
    torch.testing.assert_close(losses['incl'], incl)
    negatives = task.location(batch(3, seed=9)['location'])
    secl = 0
    for query in (found.photo, found.local):
        for i in range(4):
            keys = torch.cat([found.location[i : i + 1], negatives])
            cosines = torch.nn.functional.cosine_similarity(query[i][None], keys) / 0.07
            secl = secl - cosines.log_softmax(0)[0] / 4
    torch.testing.assert_close(losses['secl'], secl)
    torch.testing.assert_close(losses['loss'], (incl + secl) / 2)


def test_objectives_can_be_had_one_by_one() -> None:
    data = batch()
    for objective in ('incl', 'secl'):
        task = made(objectives=[objective])
        losses = task.losses(task.embed(data), data['location'])
        assert set(losses) == {'loss', objective}
        torch.testing.assert_close(losses['loss'], losses[objective] / 2)


def test_the_queue_keeps_the_latest_coordinates() -> None:
    task = made()
    batches = [batch(4, seed=seed)['location'] for seed in range(3)]
    for locations in batches:
        task._enqueue(locations)
    kept = {tuple(place) for place in task.queue.tolist()}
    assert kept == {tuple(place) for place in torch.cat(batches)[-6:].tolist()}
    assert int(task.queued) == 12


def test_what_the_queue_never_held_has_no_part() -> None:
    task, data = made(objectives=['secl']).eval(), batch()
    task._enqueue(batch(2, seed=5)['location'])
    before = task.losses(task.embed(data), data['location'])['secl']
    task.queue[2:] = 17.0
    torch.testing.assert_close(task.losses(task.embed(data), data['location'])['secl'], before)


def test_the_same_place_is_no_negative() -> None:
    task, data = made(objectives=['secl']).eval(), batch()
    alone = task.losses(task.embed(data), data['location'])['secl']
    task._enqueue(data['location'])
    others = task.losses(task.embed(data), data['location'])['secl']
    # Each place meets the three others, and not itself.
    assert float(alone) == 0
    found = task.embed(data)
    same = torch.eye(4, dtype=torch.bool)
    own = torch.arange(4)
    expected = sum(
        info_nce(query, found.location, ~same & False, own, 0.07)
        for query in (found.photo, found.local)
    )
    torch.testing.assert_close(others, expected)


def test_a_teacher_is_frozen_and_agreed_with(monkeypatch: pytest.MonkeyPatch) -> None:
    create = timm.create_model
    monkeypatch.setattr(
        timm, 'create_model', lambda *a, **k: create(*a, **{**k, 'pretrained': False})
    )
    task = made(satellite_teacher='test_resnet', photo_teacher='test_vit').train()
    data = batch()
    before = {name: t.clone() for name, t in task.satellite_teacher.encoder.state_dict().items()}
    found = task.embed(data)
    task.losses(found, data['location'])['loss'].backward()
    assert not any(p.grad is not None for p in task.satellite_teacher.encoder.parameters())
    assert task.satellite_teacher.projection.weight.grad is not None
    after = task.satellite_teacher.encoder.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert -2 <= float(found.agreement) <= 2


@pytest.mark.parametrize('precision', ['32-true', 'bf16-mixed'])
def test_it_learns_and_logs(precision: str) -> None:
    task = made(lr=3e-3)
    loader = DataLoader(samples(), batch_size=4)
    run = trainer(max_epochs=12, precision=precision, accumulate_grad_batches=2)
    before = trainer().validate(task, loader, verbose=False)[0]
    run.fit(task, loader, loader)
    after = run.callback_metrics
    names = [
        f'val_{pair}_R@{within}'
        for pair in ('photo_to_image', 'image_to_photo', 'photo_to_location', 'image_to_location')
        for within in (1, 10)
    ]
    assert set(names) | {'val_loss'} <= set(after)
    assert after['val_photo_to_image_R@10'] == 1
    assert float(after['train_loss']) < float(before['val_loss'])
    assert int(task.queued) == 12 * 8


def test_interpolation_mean_does_not_know_the_point() -> None:
    data = batch()
    elsewhere = {**data, 'point': -data['point']}
    for kind, differs in (('local', True), ('bilinear', True), ('nearest', True), ('mean', False)):
        task = made(interpolation=kind).eval()
        changed = not torch.allclose(task.embed(data).local, task.embed(elsewhere).local)
        assert changed == differs, kind


def test_the_satellite_encoder_goes_into_torchgeos_tasks(tmp_path: Path) -> None:
    task = made(satellite='resnet18')
    path = tmp_path / 'satellite.ckpt'
    task.save_satellite_encoder(path)
    other = ClassificationTask('resnet18', str(path), in_channels=4, num_classes=3)
    wanted = task.satellite.model.state_dict()
    found = other.model.state_dict()
    assert wanted
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())


def test_a_batch_of_one_place_is_refused() -> None:
    task, data = made(), batch(1)
    with pytest.raises(DataError, match='nothing is left to contrast'):
        task.losses(task.embed(data), data['location'])


def test_places_beyond_image_or_globe() -> None:
    data = batch()
    with pytest.raises(LocationError, match='outside of their image'):
        made().embed({**data, 'point': data['point'] + 2})
    with pytest.raises(LocationError, match='not on the globe'):
        made().embed({**data, 'location': data['location'] + 300})


@pytest.mark.parametrize(
    ('options', 'error', 'message'),
    [
        ({'objectives': ['inlc']}, SpecError, r"did you mean 'incl'"),
        ({'objectives': []}, SpecError, 'incl, secl or both'),
        ({'interpolation': 'locl'}, SpecError, r"did you mean 'local'"),
        ({'queue_size': 0}, SpecError, 'holds no negative'),
        ({'satellite': 'resnet19'}, ArchitectureError, 'cannot build the encoder'),
    ],
)
def test_arguments_without_sense(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        made(**options)


def _process(rank: int, port: int, folder: Path) -> None:
    """One of two: half of the batch, the loss of the whole."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo', f'tcp://127.0.0.1:{port}', rank=rank, world_size=2)
    task = made()
    task.eval()
    task._trainer = type('Trainer', (), {'world_size': 2, 'global_rank': rank})()
    data = {name: values[2 * rank : 2 * rank + 2] for name, values in batch().items()}
    losses = task.losses(task.embed(data), data['location'])
    losses['loss'].backward()
    task._enqueue(data['location'])
    gradient = task.photo_projection.weight.grad
    torch.distributed.all_reduce(gradient)
    torch.save((losses['incl'].detach(), gradient / 2, task.queue), folder / f'{rank}.pt')
    torch.distributed.destroy_process_group()


def test_two_processes_contrast_with_each_other(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(_process, (port, tmp_path), nprocs=2)
    parts = [torch.load(tmp_path / f'{rank}.pt', weights_only=True) for rank in (0, 1)]
    task, data = made().eval(), batch()
    losses = task.losses(task.embed(data), data['location'])
    losses['loss'].backward()
    task._enqueue(data['location'])
    torch.testing.assert_close((parts[0][0] + parts[1][0]) / 2, losses['incl'].detach())
    torch.testing.assert_close(parts[0][1], task.photo_projection.weight.grad, rtol=1e-4, atol=1e-6)
    assert torch.equal(parts[0][2], parts[1][2])
    assert torch.equal(parts[0][2], task.queue)
