"""What the campaign plays on: a small foundry, a few specs, and what is right."""

import logging
import os
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from torchgeo_geosane import cache
from torchgeo_geosane.candidate import Generated
from torchgeo_geosane.construction import construct
from torchgeo_geosane.foundry.autoencoder import WeightAutoencoder
from torchgeo_geosane.foundry.checkpoint import save
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.generate import create, generate
from torchgeo_geosane.prompts.shards import hash_files
from torchgeo_geosane.provenance import digest
from torchgeo_geosane.spec import Spec

# Of a process that should have ended by itself.
_SECONDS = 120


class FaultError(AssertionError):
    """Something that must not happen has happened."""


@dataclass(frozen=True)
class Scene:
    """Files that trials read and never write.

    Attributes:
        foundry: A small foundry.
        model: A model in torch's old format, of which a collection keeps a copy.
        model_hash: Its sha256.
    """

    foundry: Path
    model: Path
    model_hash: str

    @classmethod
    def build(cls, folder: Path) -> 'Scene':
        """Write the files."""
        config = FoundryConfig(d_model=32, nhead=2, num_layers=1, latent_dim=16, window=64, halo=8)
        save(folder / 'foundry.safetensors', construct(lambda: WeightAutoencoder(config)), {})
        tensors = {f'layer{n}.weight': torch.full((64, 64), float(n)) for n in range(30)}
        model = folder / 'model.pth'
        torch.save(tensors, model, _use_new_zipfile_serialization=False)
        return cls(folder / 'foundry.safetensors', model, hash_files(model))

    def spec(self, seed: int) -> Spec:
        """One of any number of specs that are generated in a blink."""
        return Spec('test_resnet', 'rgb', ('random',), str(self.foundry), seed=seed)

    @cached_property
    def made(self) -> list[Generated]:
        """What a process alone generates, for the first seeds."""
        return [create(self.spec(seed), [seed])[0] for seed in range(4)]

    @cached_property
    def right(self) -> list[str]:
        """The digests of ``made``."""
        return [digest(generated.tensors) for generated in self.made]

    def check_generate(self, seed: int) -> None:
        """Make sure that a spec gives what is right, from the cache or not."""
        expect(digest(generate(self.spec(seed)).tensors) == self.right[seed], 'other weights')


def expect(right: bool, fault: str) -> None:
    """Raise a fault if something is not right."""
    if not right:
        raise FaultError(fault)


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Whether two state dicts are equal, bit for bit."""
    return digest(one) == digest(other)


def enter(folder: Path) -> None:
    """Let the cache be in a folder of the trial's own, and say nothing."""
    os.environ[cache.ENVIRONMENT] = str(folder / 'cache')
    logging.disable(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def fork(work: Callable[[], None], report: Path) -> int:
    """Do something in a process of its own, which is warm: everything is imported. Returns its number.

    The process ends with 0 if all was right, else it writes to ``report`` what was not.
    """
    child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException as error:  # Whatever it is, it is a fault.
        report.write_text(f'{type(error).__name__}: {error}', encoding='utf-8')
        os._exit(1)
    os._exit(0)


def wait(child: int, report: Path) -> None:
    """Wait for a process, which may have been killed on purpose.

    Raises:
        FaultError: If it reports one, died of anything but the kill, or does not end.
    """
    begun = time.monotonic()
    status = None
    while status is None:
        done, code = os.waitpid(child, os.WNOHANG)
        if done:
            status = code
        elif time.monotonic() - begun > _SECONDS:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise FaultError(f'no end after {_SECONDS} seconds')
        else:
            time.sleep(0.002)
    if os.WIFSIGNALED(status):
        signals = (signal.SIGKILL, signal.SIGXFSZ)
        expect(os.WTERMSIG(status) in signals, f'died of signal {os.WTERMSIG(status)}')
    elif status:
        raise FaultError(report.read_text(encoding='utf-8'))
