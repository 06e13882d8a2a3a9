"""The networks of the zoo: tiny CNNs that tell land cover on the Landsat-7 scene, many trained at once.

A *stack* is a state dict in which every tensor has one more dimension, the first: the networks. All
networks of a stack are trained by the same few calls, as groups of one grouped convolution.
"""

import functools
import itertools
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
import torch.nn.functional as F
from timm.models import register_model
from torch import Tensor, nn

SCENE = Path(__file__).parents[1] / 'examples' / 'data' / 'landsat7_landcover'
CLASSES = 7
_BANDS = (1, 2, 3, 4, 5, 7)
_SIDE = 8
_WIDTHS = (8, 12, 16)

Stack = dict[str, Tensor]


class ZooNetwork(nn.Module):
    """Three convolutions and a linear layer: 3,179 parameters without norms.

    Attributes:
        num_features: Numbers that the head sees.
    """

    num_features = _WIDTHS[-1]

    def __init__(self, batch_norm: bool, in_chans: int = 6, num_classes: int = CLASSES) -> None:
        super().__init__()
        widths = (in_chans, *_WIDTHS)
        for number, (before, after) in enumerate(itertools.pairwise(widths), start=1):
            stride = 2 if number == 2 else 1
            layer = nn.Conv2d(before, after, 3, stride, padding=1, bias=not batch_norm)
            self.add_module(f'conv{number}', layer)
            if batch_norm:
                self.add_module(f'bn{number}', nn.BatchNorm2d(after))
        self.head = nn.Linear(_WIDTHS[-1], num_classes) if num_classes else nn.Identity()
        self.pretrained_cfg = {'input_size': (in_chans, _SIDE, _SIDE), 'num_classes': num_classes}

    def forward(self, x: Tensor) -> Tensor:
        """``[batch, bands, height, width]`` to ``[batch, classes]``."""
        layers = dict(self.named_children())
        for number in (1, 2, 3):
            x = layers[f'conv{number}'](x)
            x = F.relu(layers[f'bn{number}'](x) if f'bn{number}' in layers else x)
        return self.head(x.mean((-2, -1)))


def zoo_cnn(
    pretrained: bool = False, in_chans: int = 6, num_classes: int = CLASSES, **_: Any
) -> ZooNetwork:
    """The network without norms."""
    return ZooNetwork(False, in_chans, num_classes)


def zoo_cnn_bn(
    pretrained: bool = False, in_chans: int = 6, num_classes: int = CLASSES, **_: Any
) -> ZooNetwork:
    """The network with BatchNorm."""
    return ZooNetwork(True, in_chans, num_classes)


ARCHITECTURES = (zoo_cnn, zoo_cnn_bn)
for _architecture in ARCHITECTURES:
    register_model(_architecture)


@dataclass(frozen=True)
class Patches:
    """Patches of the scene and the land cover in their middle.

    Attributes:
        images: Standardised bands, float32 ``[n, 6, 8, 8]``.
        labels: Classes, int64 ``[n]``.
    """

    images: Tensor
    labels: Tensor


@functools.cache
def read_patches(half: str, count: int, seed: int) -> Patches:
    """Random patches of one half of the scene.

    Args:
        half: ``west`` or ``east``; no patch of one touches one of the other.
        count: How many.
        seed: Draws them.
    """
    bands = np.stack([_read(f'lsat7_2000_B{band}') for band in _BANDS]).astype('float32')
    labels = _read('landcover_1996').astype('int64') - 1
    mean, std = bands.mean((1, 2), keepdims=True), bands.std((1, 2), keepdims=True)
    height, width = labels.shape
    first, last = (0, width // 2) if half == 'west' else (width // 2 + _SIDE, width)
    drawn = np.random.default_rng(seed)
    rows = drawn.integers(0, height - _SIDE, count)
    columns = drawn.integers(first, last - _SIDE, count)
    windows = np.lib.stride_tricks.sliding_window_view((bands - mean) / std, (_SIDE, _SIDE), (1, 2))
    images = windows[:, rows, columns].swapaxes(0, 1)
    middle = labels[rows + _SIDE // 2, columns + _SIDE // 2]
    return Patches(torch.from_numpy(images.copy()), torch.from_numpy(middle))


def _read(name: str) -> np.ndarray[Any, Any]:
    with rasterio.open(SCENE / f'{name}.tif') as file:
        return file.read(1)


def initialise(make: Callable[[], ZooNetwork], seeds: range) -> Stack:
    """A stack of fresh networks, one a seed; the global random state stays."""
    states = []
    with torch.random.fork_rng(devices=[]):
        for seed in seeds:
            torch.manual_seed(seed)
            states.append(make().state_dict())
    return stack(states)


def stack(states: list[Mapping[str, Tensor]]) -> Stack:
    """Several state dicts as one stack."""
    return {name: torch.stack([state[name] for state in states]) for name in states[0]}


def unstack(networks: Stack) -> Iterator[dict[str, Tensor]]:
    """The state dicts of a stack."""
    for number in range(size_of(networks)):
        yield {name: tensor[number] for name, tensor in networks.items()}


def size_of(networks: Stack) -> int:
    """How many networks a stack has."""
    return len(networks['head.weight'])


def forward(networks: Stack, images: Tensor, momentum: float = 0.0) -> Tensor:
    """What every network says of its own images.

    Args:
        networks: The stack.
        images: ``[networks, batch, 6, 8, 8]``.
        momentum: Above 0 norms use the statistics of the batch, and those that the networks have are
            moved so far towards them, in place.

    Returns:
        ``[networks, batch, classes]``.
    """
    count, batch = images.shape[:2]
    x = images.transpose(0, 1).flatten(1, 2).contiguous(memory_format=torch.channels_last)
    for number in (1, 2, 3):
        weight = networks[f'conv{number}.weight'].flatten(0, 1)
        bias = networks.get(f'conv{number}.bias')
        x = F.conv2d(
            x,
            weight,
            None if bias is None else bias.flatten(),
            2 if number == 2 else 1,
            1,
            1,
            count,
        )
        if f'bn{number}.weight' in networks:
            names = ('running_mean', 'running_var', 'weight', 'bias')
            norm = [networks[f'bn{number}.{name}'].view(-1) for name in names]
            x = F.batch_norm(x, *norm, momentum > 0, momentum)
        x = F.relu(x)
    features = x.mean((-2, -1)).view(batch, count, -1).transpose(0, 1)
    return torch.baddbmm(
        networks['head.bias'][:, None], features, networks['head.weight'].transpose(1, 2)
    )


@torch.no_grad()
def logits(networks: Stack, images: Tensor, chunk: int = 16) -> Tensor:
    """What every network says of the same images: ``[networks, n, classes]``."""
    found = []
    for first in range(0, size_of(networks), chunk):
        part = {name: tensor[first : first + chunk] for name, tensor in networks.items()}
        wide = images.expand(size_of(part), *images.shape)
        found.append(torch.cat([forward(part, run) for run in wide.split(512, dim=1)], dim=1))
    return torch.cat(found)


@torch.no_grad()
def condition(networks: Stack, patches: Patches, chunk: int = 64) -> Stack:
    """Give norms the statistics of a thousand patches, in place; without norms nothing changes."""
    if 'bn1.weight' in networks:
        for first in range(0, size_of(networks), chunk):
            part = {name: tensor[first : first + chunk] for name, tensor in networks.items()}
            images = patches.images[:1000]
            forward(part, images.expand(size_of(part), *images.shape), momentum=1.0)
    return networks


def accuracy(networks: Stack, patches: Patches) -> Tensor:
    """Share of the patches that every network tells rightly: ``[networks]``."""
    return (logits(networks, patches.images).argmax(-1) == patches.labels).float().mean(1)


class Adam:
    """AdamW for a stack, every network with a learning rate and a weight decay of its own."""

    def __init__(self, networks: Stack, rates: Tensor, decay: Tensor) -> None:
        self.trained = {
            name: tensor.requires_grad_()
            for name, tensor in networks.items()
            if tensor.is_floating_point() and 'running' not in name
        }
        self._moments = [
            {name: torch.zeros_like(tensor) for name, tensor in self.trained.items()}
            for _ in range(2)
        ]
        self._rates = rates
        self._decay = decay
        self._step = 0

    def step(self, loss: Tensor) -> None:
        """One step down the sum of all networks' losses."""
        self._step += 1
        gradients = torch.autograd.grad(loss, list(self.trained.values()))
        with torch.no_grad():
            for (name, tensor), gradient in zip(self.trained.items(), gradients, strict=True):
                first, second = (moments[name] for moments in self._moments)
                first.lerp_(gradient, 0.1)
                second.lerp_(gradient.square(), 0.001)
                shape = (-1, *[1] * (tensor.ndim - 1))
                rates, decay = self._rates.view(shape), self._decay.view(shape)
                size = (second / (1 - 0.999**self._step)).sqrt_().add_(1e-8)
                tensor.mul_(1 - rates * decay)
                tensor.sub_(rates * (first / (1 - 0.9**self._step)) / size)


def train(
    networks: Stack,
    images: Callable[[int], Patches],
    rates: Tensor,
    decay: Tensor,
    checkpoints: tuple[int, ...],
) -> Iterator[tuple[int, Stack]]:
    """Train a stack.

    Args:
        networks: Where to start from; it is changed.
        images: What every network sees in a step: images ``[networks, batch, …]``, labels.
        rates: Learning rates, ``[networks]``.
        decay: Weight decays, ``[networks]``.
        checkpoints: Steps after which the stack is given.

    Yields:
        The step and a copy of the stack.
    """
    optimizer = Adam(networks, rates, decay)
    for step in range(1, checkpoints[-1] + 1):
        batch = images(step)
        told = forward(networks, batch.images, momentum=0.1)
        loss = F.cross_entropy(told.flatten(0, 1), batch.labels.flatten(), reduction='sum')
        optimizer.step(loss / batch.labels.shape[1])
        if step in checkpoints:
            yield step, {name: tensor.detach().clone() for name, tensor in networks.items()}


if __name__ == '__main__':
    sys.exit('zoo.py trains these networks')
