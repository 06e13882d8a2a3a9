"""Selection: several candidates of a spec, ranked by a probe on training data."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from math import prod
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.callbacks.choice import Choice, Scored, report, write
from torchgeo_geosane.callbacks.judge import Judge
from torchgeo_geosane.callbacks.probe import PROBES, Probe
from torchgeo_geosane.callbacks.tasks import has_begun
from torchgeo_geosane.candidate import Generated
from torchgeo_geosane.errors import SpecError, did_you_mean
from torchgeo_geosane.generate import create
from torchgeo_geosane.providers.timm import describe
from torchgeo_geosane.spec import Spec
from torchgeo_geosane.tasks.origin import spec_of

FILE = 'candidates.json'
# Raised whenever the same candidates and data would give other scores than before.
SELECTION = 2
# Candidates that are generated together share the encoding, and lie in memory together.
_GROUP_BYTES = 2**30


class SelectCandidates(Callback):
    """Draws several candidates of the task's weights and starts the training from the best.

    A candidate is what the task's spec gives with another seed, from the spec's own upwards. Each
    is loaded into the backbone and frozen, its BatchNorm layers conditioned; a probe is fitted on
    the features of one half of a few training batches and scored on the other half. Validation and
    test data are not touched. The task must have started from weights of ours. Every score is
    logged, written to ``candidates.json`` in the trainer's log directory, and kept in checkpoints.

    Example:
        >>> Trainer(callbacks=[SelectCandidates(candidates=4, keep=2)])

    Args:
        candidates: How many to draw.
        keep: How many of the best to average; 1 keeps the best as it is.
        probe: ``linear`` or ``knn``, see :func:`~torchgeo_geosane.callbacks.probe.probe`.
        batches: How many training batches to draw at most; their images are held in memory.
        seed: Which images fit the probe and which score it.
    """

    def __init__(
        self,
        candidates: int = 10,
        keep: int = 1,
        probe: Probe = 'linear',
        batches: int = 20,
        seed: int = 0,
    ) -> None:
        if not 1 <= keep <= candidates or candidates < 2:
            raise SpecError(
                f'{keep} of {candidates} candidates cannot be kept: draw 2 or more, keep 1 or more'
            )
        if probe not in PROBES:
            raise SpecError(f'unknown probe {probe!r}{did_you_mean(probe, PROBES)}')
        if batches < 1:
            raise SpecError(f'batches must be 1 or more, not {batches}')
        self.candidates, self.keep, self.probe = candidates, keep, probe
        self.batches, self.seed = batches, seed
        self.choice: Choice | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw, rank and load.

        Raises:
            GeoSANEError: If the task's weights are not ours, its backbone cannot be found, or the
                training data are too few.
        """
        if has_begun(trainer):
            rank_zero_info('no candidates drawn: the training continues an earlier one')
            return
        spec = spec_of(pl_module)
        if spec is None:
            raise SpecError(
                'candidates can be drawn of generated weights only, and the task started from '
                f'{getattr(pl_module, "weights", None)}: name some, '
                'e.g. weights: geosane://resnet50?sensor=sentinel2_all'
            )
        judge = Judge.draw(trainer, pl_module, spec, self.batches, self.probe, self.seed)
        self.choice = self._choose(judge, spec)
        report(self.choice)
        folder = trainer.log_dir or trainer.default_root_dir
        if trainer.is_global_zero and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            write(Path(folder) / FILE, self.choice)

    def state_dict(self) -> dict[str, Any]:
        """The choice, for checkpoints."""
        return {} if self.choice is None else asdict(self.choice)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The choice, from a checkpoint."""
        self.choice = Choice.from_dict(state_dict) if state_dict else None

    def _choose(self, judge: Judge, spec: Spec) -> Choice:
        scored: list[Scored] = []
        best: list[tuple[float, dict[str, Tensor]]] = []
        for generated in _draw(judge.trainer, spec, self.candidates):
            value = judge.score(generated.tensors)
            provenance = generated.provenance
            scored.append(Scored(provenance.url, provenance.key, value))
            best = sorted([*best, (value, generated.tensors)], key=_by_score)[: self.keep]
        tensors = best[0][1] if self.keep == 1 else average([each for _, each in best])
        mean = None if self.keep == 1 else judge.score(tensors)
        judge.backbone.load(tensors)
        ranked = sorted(scored, key=lambda one: -one.score)
        kept = ', '.join(one.url for one in ranked[: self.keep])
        averaged = [f'average of: {kept}'] if self.keep > 1 else []
        describe(judge.backbone.module, Spec.parse(ranked[0].url), *averaged)
        return Choice(
            tuple(ranked),
            self.keep,
            mean,
            self.probe,
            judge.examples.measure,
            self.batches,
            judge.images,
            self.seed,
        )


def average(states: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of state dicts of one architecture: a uniform soup (Wortsman et al. 2022, arXiv:2203.05482).

    Results are new tensors of the first one's types; counters are the first one's.
    """
    return {
        name: torch.stack([state[name].double() for state in states]).mean(0).to(first.dtype)
        if first.is_floating_point()
        else first.clone()
        for name, first in states[0].items()
    }


def _draw(trainer: Trainer, spec: Spec, count: int) -> Iterator[Generated]:
    """Generate candidates, as many together as fit into a modest memory."""
    shapes = get_architecture(spec.architecture, spec.target.in_chans).shapes.values()
    size = sum(prod(shape) * dtype.itemsize for shape, dtype in shapes)
    together = max(1, _GROUP_BYTES // size)
    seeds = range(spec.seed, spec.seed + count)
    for start in range(0, count, together):
        yield from create(
            spec,
            seeds[start : start + together],
            progress=trainer.is_global_zero,
            together=trainer.world_size > 1,
        )


def _by_score(candidate: tuple[float, dict[str, Tensor]]) -> float:
    return -candidate[0]
