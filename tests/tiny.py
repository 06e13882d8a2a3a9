"""A network of a few hundred parameters that timm knows, and a foundry that was trained on some."""

from pathlib import Path
from typing import Any

import torch
from timm.models import register_model
from torch import Tensor, nn

from torchgeo_geosane.collection.folders import FolderSource
from torchgeo_geosane.collection.gather import TokenCount, gather
from torchgeo_geosane.collection.sources import Sources
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.training import CollectionConfig, OptimisationConfig, train_foundry


class TinyNetwork(nn.Module):
    """Two convolutions, the second with BatchNorm, and a head."""

    num_features = 7

    def __init__(self, in_chans: int, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_chans, 5, 3)
        self.conv2 = nn.Conv2d(5, 7, 3, bias=False)
        self.bn2 = nn.BatchNorm2d(7)
        self.head = nn.Linear(7, num_classes) if num_classes else nn.Identity()
        self.pretrained_cfg = {'input_size': (in_chans, 16, 16)}

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn2(self.conv2(self.conv1(x).relu())).relu()
        return self.head(x.mean((-2, -1)))


def tiny_network(
    pretrained: bool = False, in_chans: int = 3, num_classes: int = 4, **_: Any
) -> TinyNetwork:
    return TinyNetwork(in_chans, num_classes)


register_model(tiny_network)
NAME = 'tiny_network'


def write_networks(folder: Path, trainings: int, checkpoints: int = 2) -> Path:
    """Networks that were begun apart, and what a little training makes of each."""
    folder.mkdir(parents=True)
    for training in range(trainings):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(training)
            state = tiny_network().state_dict()
            for step in range(checkpoints):
                torch.save(state, folder / f't{training}_{step}.pt')
                state = {
                    name: t + 0.1 * t.std(correction=0) * torch.randn_like(t)
                    if t.is_floating_point()
                    else t
                    for name, t in state.items()
                }
    return folder


def collect(models: Path, align: bool = True) -> Path:
    source = FolderSource(path=models, licence='MIT', architecture=NAME)
    manifest = models.parent / 'manifest.jsonl'
    gather(
        manifest,
        Sources(folders=(source,)),
        tokens=TokenCount(size=9),
        align=align,
        progress=False,
    )
    return manifest


def train_tiny(
    manifest: Path,
    output: Path,
    drawn_like: tuple[str, ...] = (),
    kept_numbers: int = 4_000_000,
    **options: Any,
) -> Path:
    """A foundry after two steps, with codes of places."""
    config = FoundryConfig(
        d_model=16,
        nhead=2,
        num_layers=1,
        latent_dim=4,
        token_size=9,
        window=128,
        halo=2,
        projection_dim=0,
        place_code=True,
    )
    settings = OptimisationConfig(
        **{
            'steps': 2,
            'gamma': 0.0,
            'noise': 0.0,
            'validations': 1,
            'precision': '32-true',
            'learning_rate': 1e-5,
            **options,
        }
    )
    collection = CollectionConfig(
        manifest=manifest, drawn_like=drawn_like, kept_numbers=kept_numbers
    )
    train_foundry(config, collection, settings, output, progress=False)
    return output
