from pathlib import Path

import pytest
import torch
from golden import MakeModel
from live import Live
from torch import Tensor

from torchgeo_geosane.foundry import checkpoint
from torchgeo_geosane.foundry import engine as engine_module
from torchgeo_geosane.foundry.autoencoder import WeightAutoencoder
from torchgeo_geosane.foundry.engine import Engine
from torchgeo_geosane.foundry.errors import FoundryError
from torchgeo_geosane.foundry.layout import Layout
from torchgeo_geosane.foundry.sampling import KDE, Reconstruct, Sampler
from torchgeo_geosane.foundry.source import StateDictSource
from torchgeo_geosane.foundry.tokens import TokenReader, tokenise
from torchgeo_geosane.foundry.windows import plan_windows

LENGTHS = [1, 2, 11, 12, 13, 17, 18, 19, 24, 25, 27, 40, 100]


def reader_of(n_tokens: int, seed: int = 0) -> TokenReader:
    generator = torch.Generator().manual_seed(seed)
    tensors = {'a.weight': torch.randn(n_tokens, 16, generator=generator)}
    return TokenReader(StateDictSource(tensors), tokenise(tensors, 16)[1])


def decode(
    model: WeightAutoencoder, reader: TokenReader, sampler: Sampler, seed: int = 0
) -> Tensor:
    return torch.cat([run.tokens[0] for run in Engine(model).run([reader], sampler, [seed])])


def plain(model: WeightAutoencoder, reader: TokenReader, sampler: Sampler, seed: int = 0) -> Tensor:
    """The same without streaming: all windows encoded, then sampled, then all decoded."""
    n = len(reader.layout)
    tokens, positions = reader.read(0, n), reader.layout.positions(0, n)
    windows = plan_windows(n, model.config.window, model.config.halo)

    def through(step: str, values: Tensor) -> Tensor:
        cores = [
            getattr(model, step)(values[None, w.start : w.stop], positions[None, w.start : w.stop])
            for w in windows
        ]
        return torch.cat([core[0, w.core] for core, w in zip(cores, windows, strict=True)])

    with torch.inference_mode():
        return through('decode', sampler.sample(through('encode', tokens)[None], 0, seed))


@pytest.mark.parametrize('n_tokens', LENGTHS)
@pytest.mark.parametrize('halo', [0, 3, 12, 30])
def test_streaming_equals_the_whole(n_tokens: int, halo: int, make_model: MakeModel) -> None:
    model, reader = make_model(halo=halo), reader_of(n_tokens)
    assert torch.equal(decode(model, reader, KDE()), plain(model, reader, KDE()))


@pytest.mark.parametrize('batch', [2, 5, 50])
def test_batches_of_windows(
    batch: int, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, reader = make_model(), reader_of(100)
    expected = decode(model, reader, KDE())
    monkeypatch.setitem(engine_module.BATCH, 'cpu', batch)
    torch.testing.assert_close(decode(model, reader, KDE()), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('world', [1, 2, 3, 7, 30])
def test_shares_give_the_bytes_of_the_whole(world: int, make_model: MakeModel) -> None:
    model, reader = make_model(), reader_of(100)
    expected = decode(model, reader, KDE())
    runs = []
    for rank in range(world):
        mine = list(Engine(model).run([reader], KDE(), [0], share=(rank, world)))
        cores = [(run.start, run.start + run.tokens.shape[1]) for run in mine]
        assert cores == Engine(model).cores(reader.layout, (rank, world))
        runs += mine
    assert [run.start for run in runs] == sorted({run.start for run in runs})
    assert torch.equal(torch.cat([run.tokens[0] for run in runs]), expected)


def test_candidates_share_the_encoding_and_change_nothing(make_model: MakeModel) -> None:
    model, reader = make_model(), reader_of(60)
    together = list(Engine(model).run([reader], KDE(), [5, 6]))
    for index, seed in enumerate((5, 6)):
        tokens = torch.cat([run.tokens[index] for run in together])
        assert torch.equal(tokens, decode(model, reader, KDE(), seed))


def test_progress_counts_every_token_twice(make_model: MakeModel) -> None:
    counted: list[int] = []
    list(Engine(make_model()).run([reader_of(60)], KDE(), [0], counted.append))
    assert sum(counted) == 2 * 60


def test_bfloat16_is_near_float32(make_model: MakeModel, tmp_path: Path) -> None:
    model, reader = make_model(), reader_of(60)
    exact = decode(model, reader, Reconstruct())
    checkpoint.save(tmp_path / 'foundry.safetensors', model, {})
    found = checkpoint.read_checkpoint(tmp_path / 'foundry.safetensors')
    rounded = decode(checkpoint.build(found, torch.bfloat16), reader, Reconstruct())
    assert rounded.dtype == torch.float32
    assert 0 < (rounded - exact).norm() / exact.norm() < 0.03


@pytest.mark.parametrize(
    ('sizes', 'message'),
    [
        ((59, 10, 100), 'the model has 60 tokens,.* end at 59'),
        ((60, 1, 59), 'the model has 60 tokens in one tensor,.* end at 59'),
    ],
)
def test_learned_positions_that_end_too_early(
    sizes: tuple[int, int, int], message: str, make_model: MakeModel
) -> None:
    model = make_model(positions='learned', max_positions=sizes)
    with pytest.raises(FoundryError, match=message):
        decode(model, reader_of(60), KDE())


class Endless:
    """A prompt of any size that takes no memory."""

    def __init__(self, rows: int) -> None:
        self._row = torch.randn(1, 16, generator=torch.Generator().manual_seed(0))
        self._rows = rows

    def names(self) -> list[str]:
        return ['a.weight']

    def shape(self, name: str) -> tuple[int, ...]:
        return (self._rows, 16)

    def dtype(self, name: str) -> torch.dtype:
        return torch.float32

    def read(self, name: str) -> Tensor:
        return self._row.expand(self._rows, 16)

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        return self._row.expand(stop - start, 16)


def test_memory_does_not_grow_with_the_model(make_model: MakeModel) -> None:
    model = make_model()
    peaks = []
    for rows in (100, 200, 2000):
        reader = TokenReader(Endless(rows), Layout.plan({'a.weight': (rows, 16)}, 16))
        with Live() as live:
            for _ in Engine(model).run([reader], KDE(), [0]):
                pass
        peaks.append(live.peak)
    # A few windows of 18 tokens; 2000 tokens alone would be 128 kB.
    assert peaks[2] <= peaks[1] * 1.1 < 2000 * 16 * 4
