"""Several processes give the bytes of one."""

import os
from datetime import timedelta
from pathlib import Path

import torch
from golden import MakeModel
from safetensors.torch import save_file
from torch import Tensor, multiprocessing
from torch import distributed as dist

from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.foundry import checkpoint
from torchgeo_geosane.generate import create, generate
from torchgeo_geosane.spec import Spec

SEEDS = [3, 4]


def spec_of(foundry: Path, prompt: Path) -> Spec:
    return Spec('test_resnet', 'rgb', (f'file:{prompt}',), str(foundry), seed=3)


def process(rank: int, world: int, folder: Path) -> None:
    torch.set_num_threads(1)
    os.environ['TORCHGEO_GEOSANE_CACHE'] = str(folder / 'cache')
    dist.init_process_group(
        'gloo',
        store=dist.FileStore(str(folder / 'store'), world),
        rank=rank,
        world_size=world,
        timeout=timedelta(seconds=300),
    )
    spec = spec_of(folder / 'foundry.safetensors', folder / 'prompt.safetensors')
    results = [generated.tensors for generated in create(spec, SEEDS, together=True)]
    # Without being asked to split, one process generates and the other reads the cache.
    results.append(generate(spec).tensors)
    torch.save(results, folder / f'{rank}.pt')
    dist.destroy_process_group()


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    # As bytes: -0.0 is not 0.0.
    return list(first) == list(second) and all(
        first[name].reshape(-1).view(torch.uint8).equal(second[name].reshape(-1).view(torch.uint8))
        for name in first
    )


def test_two_processes(make_model: MakeModel, tmp_path: Path) -> None:
    # Rows are scaled when they are complete: their tokens may come from two processes.
    model = make_model(token_size=230, window=256, halo=32, row_scale='rms')
    checkpoint.save(tmp_path / 'foundry.safetensors', model, {'licence': 'MIT'})
    save_file(get_architecture('test_resnet', 3).initialise(0), tmp_path / 'prompt.safetensors')
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    spec = spec_of(tmp_path / 'foundry.safetensors', tmp_path / 'prompt.safetensors')
    expected = [generated.tensors for generated in create(spec, SEEDS)]
    torch.set_num_threads(threads)

    multiprocessing.spawn(process, (2, tmp_path), nprocs=2)
    for rank in range(2):
        first, second, cached = torch.load(tmp_path / f'{rank}.pt')
        assert equal(first, expected[0])
        assert equal(second, expected[1])
        assert equal(cached, expected[0])
    assert not equal(expected[0], expected[1])
    assert len(list((tmp_path / 'cache').glob('*.safetensors'))) == 1
