"""What bfloat16 changes: latents and generated weights against those in float32."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from unittest import mock

import torch
from torch import Tensor

from torchgeo_geosane.foundry.sampling import KDE, Reconstruct
from torchgeo_geosane.generate import create
from torchgeo_geosane.spec import Spec

# Architecture, sensor, prompt, and whether the foundry is the embedded one or the benchmark's own.
CASES = [
    ('mobilenetv2_100', 'rgb', 'random', 'own'),
    ('resnet18', 'rgb', 'random', 'own'),
    ('vit_tiny_patch16_224', 'rgb', 'random', 'own'),
    ('resnet18', 'rgb', 'random', 'embedded'),
    ('vit_tiny_patch16_224', 'rgb', 'random', 'embedded'),
    ('tf_efficientnet_b4', 'sentinel2_6', 'ukis:6b_l1c', 'embedded'),
]
HEADER = """
What bfloat16 changes: the relative difference `|b − a| / |a|` to float32, in all latents and in all generated
tensors, with the same noise. Beside it what that noise (KDE, bandwidth 0.2) changes in the weights.

| architecture | prompt | foundry | latents | weights | the sampler's noise, weights |
|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Result:
    """What one generation gave: the prompt's latents, and the tensors that were generated."""

    latents: list[Tensor]
    weights: list[Tensor]


def differences(foundry: str, device: str) -> str:
    """A table for a report.

    Args:
        foundry: Path of the benchmark's own foundry.
        device: Where foundries run.
    """
    table = HEADER
    for architecture, sensor, prompt, which in CASES:
        path = foundry if which == 'own' else which
        spec = Spec(architecture, sensor, (prompt,), path)
        exact = generated(spec, device)
        rounded = generated(replace(spec, precision='bfloat16'), device)
        quiet = generated(replace(spec, sampler=Reconstruct()), device)
        numbers = (
            relative(rounded.latents, exact.latents),
            relative(rounded.weights, exact.weights),
            relative(exact.weights, quiet.weights),
        )
        cells = [architecture, f'`{prompt}`', which, *(f'{number:.4f}' for number in numbers)]
        table += f'| {" | ".join(cells)} |\n'
    return table


def generated(spec: Spec, device: str) -> Result:
    with seen_latents() as latents:
        result = create(spec, [spec.seed], device=device)[0]
    coverage = result.provenance.coverage
    names = [name for name, kind in coverage.items() if kind in {'generated', 'adapted'}]
    return Result(latents, [result.tensors[name] for name in names])


@contextmanager
def seen_latents() -> Iterator[list[Tensor]]:
    """The prompt's latents that samplers were given while the block ran."""
    latents: list[Tensor] = []
    sample = KDE.sample

    def keep(self: KDE, prompts: Tensor, start: int, seed: int) -> Tensor:
        latents.append(prompts[0].clone())
        return sample(self, prompts, start, seed)

    with mock.patch.object(KDE, 'sample', keep):
        yield latents


def relative(changed: Iterable[Tensor], reference: Iterable[Tensor]) -> float:
    """Norm of the difference over the norm of the reference, of all tensors together."""
    pairs = list(zip(changed, reference, strict=True))
    difference = sum((b.double() - a.double()).square().sum() for b, a in pairs)
    size = sum(a.double().square().sum() for _, a in pairs)
    return float(torch.as_tensor(difference / size).sqrt())
