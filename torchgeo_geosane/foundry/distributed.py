"""Several processes generate one result: each decodes its share of the windows, all get everything.

The batches of windows are those of a single process, so not a byte of the result depends on how
many processes there are. Cores are exchanged by broadcast, one step at a time, so memory stays
bounded; a sum over processes would be simpler, and turn -0.0 into 0.0.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import distributed as dist

from torchgeo_geosane.foundry.engine import Decoded, Engine, Progress
from torchgeo_geosane.foundry.sampling import Sampler
from torchgeo_geosane.foundry.tokens import TokenReader


def run_together(
    engine: Engine,
    readers: Sequence[TokenReader],
    sampler: Sampler,
    seeds: Sequence[int],
    progress: Progress = lambda _: None,
) -> Iterator[Decoded]:
    """As ``Engine.run``, with the work split over the default process group.

    Every process must call this with equal arguments and take everything it yields.

    Args:
        engine: The foundry; each process has its own.
        readers: The prompts' tokens.
        sampler: Draws the latents.
        seeds: One candidate each.
        progress: Called with the number of tokens this process finished since the last call.

    Yields:
        Every core once, those of the processes in turn, so not in the order of the sequence.
    """
    rank, world = dist.get_rank(), dist.get_world_size()
    layout = readers[0].layout
    # NCCL moves only what lies on a GPU.
    device = engine.device if dist.get_backend() == 'nccl' else torch.device('cpu')
    shares = [engine.cores(layout, (other, world)) for other in range(world)]
    own = engine.run(readers, sampler, seeds, progress, (rank, world))
    for step in range(max(len(cores) for cores in shares)):
        mine = next(own, None)
        for other, cores in enumerate(shares):
            if step >= len(cores):
                continue
            start, stop = cores[step]
            if other == rank and mine is not None:
                tokens = mine.tokens.to(device).contiguous()
            else:
                shape = (len(seeds), stop - start, layout.token_size)
                tokens = torch.empty(shape, dtype=torch.float32, device=device)
            dist.broadcast(tokens, src=other)
            yield Decoded(start, tokens.cpu())
