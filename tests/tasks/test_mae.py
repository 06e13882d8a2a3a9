from pathlib import Path
from typing import Any

import pytest
import torch
from specs import MakeSpec

from torchgeo_geosane import tasks
from torchgeo_geosane.generate import generate
from torchgeo_geosane.providers.catalog import timm_name
from torchgeo_geosane.spec import Spec

pytest.importorskip('torchgeo.tasks', reason='TorchGeo 0.8 and 0.9 have no masked autoencoder')


@pytest.fixture
def vit(make_spec: MakeSpec, shared_cache: Path) -> Spec:
    return make_spec('vit_tiny_patch16_224', 'sentinel1_grd')


@pytest.mark.parametrize('by_timm_name', [False, True])
def test_the_encoder_keeps_its_weights(vit: Spec, by_timm_name: bool) -> None:
    chosen: dict[str, Any] = (
        {'model': timm_name(vit), 'weights': True}
        if by_timm_name
        else {'model': vit.architecture, 'weights': vit.url}
    )
    task = tasks.MAETask(in_channels=2, decoder_dim=64, decoder_num_heads=2, **chosen)
    held = task.backbone.vit.state_dict()
    for name, tensor in generate(vit).tensors.items():
        assert torch.equal(held[name], tensor), name
    assert torch.isfinite(task.training_step({'image': torch.rand(2, 2, 224, 224)}, 0))


def test_without_weights_it_is_torchgeos(vit: Spec) -> None:
    from torchgeo.tasks import MAE

    arguments: dict[str, Any] = {'model': vit.architecture, 'in_channels': 2}
    torch.manual_seed(0)
    ours = tasks.MAETask(**arguments)
    torch.manual_seed(0)
    theirs = MAE(**arguments)
    held = theirs.state_dict()
    assert all(torch.equal(tensor, held[name]) for name, tensor in ours.state_dict().items())


def test_torchgeos_own_task_still_loses_them(vit: Spec) -> None:
    # When this fails, MAETask is no longer needed.
    from torchgeo.tasks import MAE

    task = MAE(model=vit.architecture, weights=vit.url, in_channels=2)
    name = 'blocks.0.attn.qkv.weight'
    assert not torch.equal(task.backbone.vit.state_dict()[name], generate(vit).tensors[name])
