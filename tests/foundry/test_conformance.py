"""The official forward, reproduced: integers and copies exactly, the rest within 1e-5."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from golden import DATA, Golden
from torch import Tensor

from torchgeo_geosane.foundry.engine import Engine
from torchgeo_geosane.foundry.layout import Layout
from torchgeo_geosane.foundry.loss import contrastive_loss, reconstruction_loss
from torchgeo_geosane.foundry.sampling import Reconstruct
from torchgeo_geosane.foundry.source import StateDictSource
from torchgeo_geosane.foundry.tokens import TokenReader, tokenise
from torchgeo_geosane.foundry.windows import plan_windows

TOLERANCE = {'rtol': 1e-5, 'atol': 1e-5}


class Fixed:
    """A sampler that draws prepared latents, or keeps those it sees."""

    name = 'fixed'

    def __init__(self, latents: Tensor | None = None) -> None:
        self.latents = latents
        self.seen: list[Tensor] = []

    def sample(self, latents: Tensor, start: int, seed: int) -> Tensor:
        self.seen.append(latents[0])
        if self.latents is None:
            return latents[0]
        return self.latents[start : start + latents.shape[1]]

    def shares(self, prompts: int, seed: int) -> list[float]:
        return [1.0]


def sha256(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()


def decode(golden: Golden, sampler: Fixed | Reconstruct) -> Tensor:
    _, layout = tokenise(golden.prompt, 230)
    reader = TokenReader(StateDictSource(golden.prompt), layout)
    runs = list(Engine(golden.foundry.model).run([reader], sampler, [0]))
    return torch.cat([run.tokens[0] for run in runs])


@pytest.mark.parametrize('model', ['resnet', 'vit'])
def test_layout_mask_positions_windows(model: str) -> None:
    exact = json.loads((DATA / model / 'exact.json').read_text())
    layout = Layout.plan({name: tuple(shape) for name, shape in exact['shapes'].items()}, 230)
    n = len(layout)
    assert n == exact['tokens']
    assert sha256(layout.positions(0, n)) == exact['sha256']['positions']
    assert sha256(layout.mask(0, n)) == exact['sha256']['mask']
    # Where two contexts coincide at the end, ours are one window; the contexts are the same.
    bounds = {(window.start, window.stop) for window in plan_windows(n, 512, 64)}
    assert bounds == {(start, stop) for start, stop in exact['halo_windows']}


def test_tokens(golden: Golden, official: Path) -> None:
    exact = json.loads((official / 'exact.json').read_text())
    assert sha256(tokenise(golden.prompt, 230)[0]) == exact['sha256']['tokens']


def test_position_embedding(golden: Golden) -> None:
    _, layout = tokenise(golden.prompt, 230)
    embedding = golden.foundry.model.embed(layout.positions(0, 640))[0]
    assert torch.equal(embedding[::64], golden.expected['position_embedding_every_64th'])


def test_encode(golden: Golden) -> None:
    sampler = Fixed()
    decode(golden, sampler)
    torch.testing.assert_close(torch.cat(sampler.seen), golden.expected['z'], **TOLERANCE)


def test_decode_of_a_sample(golden: Golden) -> None:
    decoded = decode(golden, Fixed(golden.expected['z_sample']))
    torch.testing.assert_close(decoded[::16], golden.expected['decoded_every_16th'], **TOLERANCE)


def test_reconstruction(golden: Golden) -> None:
    torch.testing.assert_close(
        decode(golden, Reconstruct())[::16],
        golden.expected['reconstructed_every_16th'],
        **TOLERANCE,
    )


def test_loss(golden: Golden) -> None:
    model, expected = golden.foundry.model, golden.expected
    tokens, layout = tokenise(golden.prompt, 230)
    starts = expected['loss.start'].tolist()
    first = torch.stack([tokens[start : start + 512] for start in starts])
    second = first * (1 + expected['loss.noise_j'] / 200)
    second[first.abs() > 0.3] = expected['loss.large_j']
    positions = torch.stack([layout.positions(start, start + 512) for start in starts]).repeat(
        2, 1, 1
    )
    mask = torch.stack([layout.mask(start, start + 512) for start in starts]).repeat(2, 1, 1)
    x = torch.cat([first, second])
    with torch.inference_mode():
        z = model.encode(x, positions)
        y = model.decode(z, positions)
        torch.testing.assert_close(y[:4, ::64], expected['loss.y_every_64th'], **TOLERANCE)
        torch.testing.assert_close(model.project(z[:4]), expected['loss.zp_i'], **TOLERANCE)
        # Both views, each against itself: one mean and one spread over the whole batch.
        reconstruction = reconstruction_loss(y, x, mask)
        contrast, _ = contrastive_loss(expected['loss.zp_i'], expected['loss.zp_j'])
    total = 0.95 * reconstruction + 0.05 * contrast
    for value, name in (
        (reconstruction, 'reconstruction'),
        (contrast, 'contrast'),
        (total, 'total'),
    ):
        torch.testing.assert_close(value, expected[f'loss.{name}'][0], rtol=1e-5, atol=0)


def test_fault_1_results_are_read_where_the_shifted_window_has_them(golden: Golden) -> None:
    """Reading the last windows at their unshifted place puts up to 512 tokens in the wrong spot."""
    decoded = decode(golden, Fixed(golden.expected['z_sample']))
    n = len(decoded)
    shift = 4 * 512 + 64 - n  # Of the window around the core [1536, 2048).
    assert 1 <= n % 512 <= 63
    wrong = decoded.roll(shift, dims=0)[1536:2048]
    right = golden.expected['decoded_every_16th'][1536 // 16 : 2048 // 16]
    assert not torch.allclose(wrong[::16], right, **TOLERANCE)
    torch.testing.assert_close(decoded[1536:2048:16], right, **TOLERANCE)
