"""A vision transformer of a billion parameters, generated inside 8 GB.

    python benchmarks/billion.py

The prompt is a file of zeros that takes no room on the disk, and the foundry is tiny, so that the
engine's own memory shows: what a larger foundry adds are its weights and a few of its windows.
"""

import argparse
import json
import struct
import tempfile
import time
from pathlib import Path

import torch

from torchgeo_geosane.architectures import target_shapes
from torchgeo_geosane.foundry import checkpoint
from torchgeo_geosane.foundry.autoencoder import WeightAutoencoder
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.generate import create
from torchgeo_geosane.spec import Spec

LIMIT_GB = 8


def write_zeros(path: Path, architecture: str) -> None:
    """A sparse safetensors file with every tensor of an architecture."""
    header: dict[str, object] = {}
    end = 0
    for name, wanted in target_shapes(architecture, 3).items():
        start, end = end, end + 4 * torch.Size(wanted.shape).numel()
        header[name] = {'dtype': 'F32', 'shape': wanted.shape, 'data_offsets': [start, end]}
    text = json.dumps(header).encode()
    text += b' ' * (-len(text) % 8)
    path.write_bytes(struct.pack('<Q', len(text)) + text)
    with path.open('r+b') as file:
        file.truncate(8 + len(text) + end)


def memory(field: str) -> float:
    """One of the memory figures of this process, in GB."""
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 2**20
    raise SystemExit('this benchmark measures memory on Linux only')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--architecture', default='vit_giant_patch14_224')
    parser.add_argument('--width', type=int, default=16, help='d_model of the foundry')
    parser.add_argument('--layers', type=int, default=1)
    arguments = parser.parse_args()
    config = FoundryConfig(
        d_model=arguments.width,
        nhead=max(1, arguments.width // 64),
        num_layers=arguments.layers,
        latent_dim=max(1, arguments.width // 4),
        projection_dim=0,
    )
    with tempfile.TemporaryDirectory() as folder:
        foundry, prompt = Path(folder, 'foundry.safetensors'), Path(folder, 'prompt.safetensors')
        checkpoint.save(foundry, WeightAutoencoder(config), {})
        write_zeros(prompt, arguments.architecture)
        spec = Spec(arguments.architecture, 'rgb', (f'file:{prompt}',), str(foundry))
        before, start = memory('RssAnon'), time.perf_counter()
        generated = create(spec, [0], progress=True)[0]
        seconds = time.perf_counter() - start
    numbers = sum(tensor.numel() for tensor in generated.tensors.values())
    result = sum(tensor.nbytes for tensor in generated.tensors.values()) / 2**30
    peak = memory('VmHWM')
    print(f'{arguments.architecture}: {numbers / 1e9:.2f} billion numbers, {result:.2f} GB')
    print(
        f'{seconds:.0f} s; before {before:.2f} GB, anonymous memory after {memory("RssAnon"):.2f} GB'
    )
    print(f'peak resident set {peak:.2f} GB, the mapped pages of the prompt counted in')
    if peak > LIMIT_GB:
        raise SystemExit(f'more than {LIMIT_GB} GB')


if __name__ == '__main__':
    main()
