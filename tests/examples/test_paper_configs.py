"""The paper's ten data sets: each config says what it should, and runs on a miniature."""

import os
import re
import socket
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from rasters import write_miniature
from torchgeo.datasets import DIOR

from torchgeo_geosane import cache, datamodules
from torchgeo_geosane.cli import main
from torchgeo_geosane.providers.catalog import find_spec

pytestmark = [
    pytest.mark.filterwarnings('ignore:Use torchgeo.tasks:DeprecationWarning'),
    pytest.mark.filterwarnings("ignore:LightningCLI's args parameter:UserWarning"),
]

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / 'examples' / 'paper').glob('*.yaml'))
CONNECT = socket.socket.connect
each = pytest.mark.parametrize('config', CONFIGS, ids=lambda config: config.stem)

CLASSES = {'eurosat': 10, 'resisc45': 45, 'bigearthnet': 19, 'dior': len(DIOR.classes) + 1}
"""Of data sets that do not list them; to a detector the background is one more."""


@dataclass(frozen=True)
class Small:
    """What makes a config small.

    Attributes:
        data: Options of its data module.
        miniature: Options of the miniature.
    """

    data: dict[str, object] = field(default_factory=dict)
    miniature: dict[str, object] = field(default_factory=dict)


SMALL = {
    'bigearthnet': Small(),
    'california_wildfires': Small({'size': 32}),
    'dfc2020': Small(miniature={'size': 64}),
    'dior': Small({'size': 64}),
    'eurosat': Small(),
    # The hash of airport_2 keeps it for validation.
    'fmow': Small({'size': 32, 'train_fraction': 1.0}, {'more': ('airport_2',)}),
    'resisc45': Small({'size': 32}),
    'sen12flood': Small({'size': 32}),
    'sen1floods11': Small(miniature={'size': 64}),
    'spacenet1': Small({'batch_size': 1}),
}


def read(config: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(config.read_text())
    return content


def weights(asked: str, architecture: str) -> str:
    """Weights for the same bands, for a smaller architecture, around nothing."""
    return f'geosane://{architecture}?sensor={find_spec(asked).sensor}&prompt=random'


def small_model(arguments: dict[str, Any]) -> dict[str, object]:
    """The smallest model of the kind that takes generated weights."""
    asked = arguments['weights']
    match arguments['model']:
        case 'unet':  # Of smp, whose encoders have TorchGeo's names for ResNets alone.
            return {'backbone': 'resnet18', 'weights': weights(asked, 'resnet18')}
        case 'faster-rcnn':
            tiny = weights(asked, 'test_resnet')
            return {'backbone': 'test_resnet', 'weights': tiny, 'trainable_layers': 3}
        case _:
            return {'model': 'test_resnet', 'weights': weights(asked, 'test_resnet')}


def test_all_ten_are_there() -> None:
    assert {config.stem for config in CONFIGS} == set(SMALL)
    assert len(SMALL) == 10


@each
def test_the_papers_budget(config: Path) -> None:
    content = read(config)
    trainer = content['trainer']
    assert (trainer['max_epochs'], trainer['accelerator']) == (50, 'auto')
    assert content['optimizer']['class_path'] == 'torch.optim.AdamW'
    assert content['lr_scheduler']['init_args']['T_max'] == trainer['max_epochs']
    assert trainer['logger']['init_args']['name'] == config.stem
    assert content['data']['init_args']['root'] == f'data/{config.stem}'


@each
def test_data_task_and_weights_agree(config: Path) -> None:
    content = read(config)
    arguments = content['model']['init_args']
    kind = getattr(datamodules, content['data']['class_path'].rpartition('.')[2])
    module = kind(**content['data']['init_args'])
    bands = [name.replace('B0', 'B') for name in module.bands]
    assert list(find_spec(arguments['weights']).target.band_names) == bands
    assert arguments['in_channels'] == len(bands)
    classes = getattr(module.dataset_class, 'classes', None)
    expected = CLASSES.get(config.stem) or (len(classes) if classes else 2)
    assert arguments.get('num_classes', arguments.get('num_labels')) == expected


def fit(config: Path, folder: Path, **more: object) -> None:
    """Run a config for a step or two on a miniature of its data, and test it."""
    data = folder / 'data'
    data.mkdir()
    small = SMALL[config.stem]
    write_miniature(config.stem, data, **small.miniature)
    options = {
        'data.init_args.root': data,
        'data.init_args.batch_size': 2,
        'data.init_args.num_workers': 0,
        **{f'data.init_args.{name}': value for name, value in small.data.items()},
        **{
            f'model.init_args.{name}': value
            for name, value in small_model(read(config)['model']['init_args']).items()
        },
        'trainer.accelerator': 'cpu',
        'trainer.enable_progress_bar': 'false',
        'trainer.max_epochs': 1,
        'trainer.num_sanity_val_steps': 0,
        # Not 1, which the command line takes for 1.0, all of them.
        'trainer.limit_train_batches': 2,
        'trainer.limit_val_batches': 2,
        'trainer.limit_test_batches': 2,
        'trainer.logger.init_args.save_dir': folder / 'output',
        **{f'trainer.{name}': value for name, value in more.items()},
    }
    given = [f'--{name}={value}' for name, value in options.items()]
    assert main(['fit', f'--config={config}', *given]) == 0


@each
def test_it_runs_on_a_miniature(
    config: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(config, folder)
    printed = capsys.readouterr().out
    (checkpoint,) = re.findall(r'^Checkpoint: (.+)$', printed, re.MULTILINE)
    assert Path(checkpoint).is_relative_to(folder / 'output' / config.stem)
    assert 'test_loss' in printed or 'test_map' in printed


def fit_with_cache(directory: Path, config: Path, folder: Path, more: dict[str, object]) -> None:
    """Run a config in a process of its own, from which others are forked."""
    os.environ[cache.ENVIRONMENT] = str(directory)
    fit(config, folder, **more)


def test_two_processes_in_mixed_precision(
    folder: Path,
    cache_directory: Path,
    processes: ForkServerContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on two GPUs: the options of docs/gpu.md, with processes that cost no imports."""
    # What starts them is asked over a socket.
    monkeypatch.setattr(socket.socket, 'connect', CONNECT)
    config = ROOT / 'examples' / 'paper' / 'eurosat.yaml'
    more = {
        'limit_train_batches': 1.0,
        'devices': 2,
        'strategy': 'ddp_fork',
        'precision': 'bf16-mixed',
    }
    # What autograd has done before would forbid forks of this one.
    arguments = (cache_directory, config, folder, more)
    process = processes.Process(target=fit_with_cache, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 0
    (checkpoint,) = (folder / 'output').rglob('best.ckpt')
    saved = torch.load(checkpoint, weights_only=False)
    assert saved['global_step'] == 2, 'ten images, by two, in two processes'
    state = saved['state_dict']
    assert all(tensor.dtype == torch.float32 for tensor in state.values() if tensor.ndim)


def test_the_documentation_lists_every_config() -> None:
    page = (ROOT / 'docs' / 'examples.md').read_text()
    listed = re.findall(r'^\| `paper/(\w+)\.yaml`', page, re.MULTILINE)
    assert sorted(listed) == [config.stem for config in CONFIGS]
