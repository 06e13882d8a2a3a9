"""The streaming engine: encode, sample and decode a token sequence of any length in bounded memory.

Windows are encoded in batches; their latents are sampled at once and kept on a tape that reaches
only as far back as the halo of the next window to decode. A window is decoded as soon as its
context is on the tape. Batches are fixed by the plan, not by the device's mood, so that the same
arithmetic gives the same bytes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from torchgeo_geosane.foundry.autoencoder import WeightAutoencoder
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.foundry.errors import FoundryError
from torchgeo_geosane.foundry.layout import Layout
from torchgeo_geosane.foundry.sampling import Reconstruct, Sampler
from torchgeo_geosane.foundry.tokens import TokenReader
from torchgeo_geosane.foundry.windows import Window, batches, plan_windows

# Windows in one forward pass. One keeps a CPU's cores as busy as eight, with an eighth of the
# activations.
BATCH = {'cpu': 1, 'cuda': 32}

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Decoded:
    """Decoded tokens of one core, for every candidate.

    Attributes:
        start: Index of the first token.
        tokens: float32 on the CPU, ``[candidates, n, token_size]``.
    """

    start: int
    tokens: Tensor


class _Tape:
    """Sampled latents of the tokens between the oldest still needed and the newest encoded."""

    def __init__(self, start: int) -> None:
        self.start = self.stop = start
        self._runs: list[tuple[int, Tensor]] = []

    def append(self, latents: Tensor) -> None:
        """Add ``[candidates, n, latent_dim]`` at the end."""
        self._runs.append((self.stop, latents))
        self.stop += latents.shape[1]

    def read(self, start: int, stop: int) -> Tensor:
        """Latents of tokens ``[start, stop)``: ``[candidates, stop - start, latent_dim]``."""
        parts = [
            run[:, max(start - first, 0) : stop - first]
            for first, run in self._runs
            if first < stop and first + run.shape[1] > start
        ]
        return torch.cat(parts, dim=1)

    def forget(self, before: int) -> None:
        """Drop runs that end before a token."""
        self._runs = [(first, run) for first, run in self._runs if first + run.shape[1] > before]


class Engine:
    """Runs a foundry's autoencoder over token sequences.

    Attributes:
        model: The autoencoder.
        device: Where it runs.
    """

    def __init__(self, model: WeightAutoencoder) -> None:
        """Prepare to run ``model`` where it lies, in the type that it has."""
        self.model = model
        self.device = next(model.parameters()).device
        self._batch = BATCH.get(self.device.type, 8)

    @torch.inference_mode()
    def run(
        self,
        readers: Sequence[TokenReader],
        sampler: Sampler,
        seeds: Sequence[int],
        progress: Progress = lambda _: None,
        share: tuple[int, int] = (0, 1),
    ) -> Iterator[Decoded]:
        """Encode the prompts, sample, and decode every candidate.

        Args:
            readers: The prompts' tokens; all have one layout.
            sampler: Draws the latents.
            seeds: One candidate each. All share the encoding.
            progress: Called with the number of tokens finished since the last call, half for each
                pass.
            share: ``(rank, world size)`` to decode only the rank's share of the sequence.

        Raises:
            FoundryError: If the foundry's learned positions do not reach so far.

        Yields:
            Cores in order; over all ranks they partition the sequence.
        """
        layout = readers[0].layout
        _check_positions(self.model.config, layout)
        plan = self._plan(layout)
        mine = _share(len(plan), *share)
        if not mine:
            return
        first, last = _context(plan, mine)
        tape = _Tape(plan[first][0].core_start)
        waiting = list(mine)
        embeddings: dict[int, tuple[Tensor, Tensor]] = {}
        for index in range(first, last):
            windows = plan[index]
            embeddings[index] = self._embed(layout, windows)
            tape.append(self._encode(readers, windows, embeddings[index][0], sampler, seeds))
            progress(sum(window.core_stop - window.core_start for window in windows))
            while waiting and plan[waiting[0]][-1].stop <= tape.stop:
                ready = waiting.pop(0)
                for stale in [key for key in embeddings if key < ready]:
                    del embeddings[stale]
                yield from self._decode(tape, plan[ready], embeddings.pop(ready)[1], len(seeds))
                progress(sum(window.core_stop - window.core_start for window in plan[ready]))
                if waiting:
                    tape.forget(before=plan[waiting[0]][0].start)

    @torch.inference_mode()
    def encode(self, reader: TokenReader) -> Tensor:
        """The latents of all tokens of a model: float32 ``[n, latent_dim]``, in memory as a whole.

        Raises:
            FoundryError: If the foundry's learned positions do not reach so far.
        """
        layout = reader.layout
        _check_positions(self.model.config, layout)
        parts = [
            self._encode([reader], windows, self._embed(layout, windows)[0], Reconstruct(), [0])[0]
            for windows in self._plan(layout)
        ]
        return torch.cat(parts)

    def cores(self, layout: Layout, share: tuple[int, int] = (0, 1)) -> list[tuple[int, int]]:
        """First and last token (exclusive) of each core that ``run`` yields for such a share."""
        plan = self._plan(layout)
        mine = _share(len(plan), *share)
        return [(plan[index][0].core_start, plan[index][-1].core_stop) for index in mine]

    def _plan(self, layout: Layout) -> list[list[Window]]:
        config = self.model.config
        return list(batches(plan_windows(len(layout), config.window, config.halo), self._batch))

    def _embed(self, layout: Layout, windows: list[Window]) -> tuple[Tensor, Tensor]:
        """Position embeddings of a batch of windows, for the encoder and for the decoder."""
        start, stop = windows[0].start, windows[-1].stop
        relative = self.model.config.relative_positions
        positions = (layout.relative_positions if relative else layout.positions)(start, stop)
        kinds = layout.kinds(start, stop).to(self.device) if self.model.config.layer_types else None
        # Windows overlap by their halos: embed the whole run once, then cut.
        encoder, decoder = self.model.embed(positions.to(self.device), kinds)
        stacked = _stack(encoder, windows, start)
        return stacked, stacked if decoder is encoder else _stack(decoder, windows, start)

    def _encode(
        self,
        readers: Sequence[TokenReader],
        windows: list[Window],
        embedding: Tensor,
        sampler: Sampler,
        seeds: Sequence[int],
    ) -> Tensor:
        start, stop = windows[0].start, windows[-1].stop
        cores = []
        for reader in readers:
            tokens = self._to_device(reader.read(start, stop))
            latents = self.model.encode_embedded(_stack(tokens, windows, start), embedding)
            cores.append(_cores(latents.float(), windows))
        prompts = torch.stack(cores)
        return torch.stack([sampler.sample(prompts, windows[0].core_start, seed) for seed in seeds])

    def _decode(
        self, tape: _Tape, windows: list[Window], embedding: Tensor, candidates: int
    ) -> Iterator[Decoded]:
        start, stop = windows[0].start, windows[-1].stop
        run = tape.read(start, stop)
        tokens = []
        for candidate in range(candidates):
            decoded = self.model.decode_embedded(_stack(run[candidate], windows, start), embedding)
            tokens.append(_cores(decoded.float(), windows))
        yield Decoded(windows[0].core_start, torch.stack(tokens).cpu())

    def _to_device(self, tokens: Tensor) -> Tensor:
        if self.device.type != 'cuda':
            return tokens.to(self.device)
        return tokens.pin_memory().to(self.device, non_blocking=True)


def _check_positions(config: FoundryConfig, layout: Layout) -> None:
    """Make sure that learned position tables reach the end of the sequence.

    Raises:
        FoundryError: If they do not.
    """
    if config.max_positions is None:
        return
    longest = max(segment.stop - segment.start for segment in layout.segments)
    needed = (len(layout), len(layout.segments), longest)
    for what, wanted, size in zip(
        ('tokens', 'tensors', 'tokens in one tensor'), needed, config.max_positions, strict=True
    ):
        if wanted > size:
            raise FoundryError(
                f'the model has {wanted} {what}, '
                f'but the learned positions of this foundry end at {size}: take another foundry'
            )


def _share(n_batches: int, rank: int, world: int) -> range:
    """A rank's contiguous share of the batches."""
    return range(n_batches * rank // world, n_batches * (rank + 1) // world)


def _context(plan: list[list[Window]], mine: range) -> tuple[int, int]:
    """The batches to encode so that those of ``mine`` have their whole context."""
    start, stop = plan[mine[0]][0].start, plan[mine[-1]][-1].stop
    needed = [
        index
        for index, windows in enumerate(plan)
        if windows[0].core_start < stop and windows[-1].core_stop > start
    ]
    return needed[0], needed[-1] + 1


def _stack(run: Tensor, windows: list[Window], start: int) -> Tensor:
    """Cut a run of tokens that begins at ``start`` into its windows: ``[windows, length, …]``."""
    cut = [run[window.start - start : window.stop - start] for window in windows]
    return torch.stack(cut) if len(cut) > 1 else cut[0].unsqueeze(0)  # One needs no copy.


def _cores(stacked: Tensor, windows: list[Window]) -> Tensor:
    """Join the cores of stacked windows: ``[tokens, …]``."""
    return torch.cat([values[window.core] for values, window in zip(stacked, windows, strict=True)])
