from typing import Any

import pytest
import torch
from torch import Tensor

from torchgeo_geosane.errors import SpecError
from torchgeo_geosane.tasks import PointTask


def batch(n: int = 4) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        'image': torch.randn(n, 4, 64, 64, generator=generator),
        'point': 2 * torch.rand(n, 2, generator=generator) - 1,
        'location': 100 * torch.rand(n, 2, generator=generator) - 50,
    }


def made(**options: Any) -> PointTask:
    torch.manual_seed(0)
    small = {'backbone': 'test_resnet', 'in_channels': 4, 'num_classes': 3, 'embed_dim': 8}
    return PointTask(**{**small, 'location_hidden': 8, **options}).eval()


@pytest.mark.parametrize('uses', ['image', 'location', 'both'])
def test_what_it_uses_is_what_it_depends_on(uses: str) -> None:
    task, data = made(uses=uses), batch()
    found = task(data)
    assert found.shape == (4, 3)
    for name, used in (('image', uses != 'location'), ('location', uses != 'image')):
        changed = task({**data, name: data[name] * 0.5})
        assert torch.equal(found, changed) != used


def test_regression_gives_a_value_a_point() -> None:
    task = made(kind='regression', num_classes=None)
    assert task(batch()).shape == (4,)
    loss = task.training_step({**batch(), 'label': torch.zeros(4)}, 0)
    torch.testing.assert_close(loss, task(batch()).square().mean())


def test_probabilities_sum_to_one() -> None:
    torch.testing.assert_close(made().predict_step(batch(), 0).sum(1), torch.ones(4))


def test_a_frozen_backbone_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    task = made(freeze_backbone=True).train()
    before = {name: tensor.clone() for name, tensor in task.encoder.state_dict().items()}
    loss = torch.nn.functional.cross_entropy(task(batch()), torch.tensor([0, 1, 2, 0]))
    loss.backward()
    optimiser = task.configure_optimizers()
    optimiser.step()
    after = task.encoder.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert task.local.linear.weight.grad is not None


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'kind': 'regresion'}, "did you mean 'regression'"),
        ({'uses': 'images'}, "did you mean 'image'"),
        ({'num_classes': None}, 'needs num_classes'),
        ({'interpolation': 'cubic'}, "unknown interpolation 'cubic'"),
    ],
)
def test_arguments_without_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        made(**options)
