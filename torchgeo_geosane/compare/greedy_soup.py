"""The greedy soup: models are averaged as long as a probe on training data gains."""

from collections.abc import Sequence

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info

from torchgeo_geosane.callbacks.candidates import average
from torchgeo_geosane.callbacks.judge import Judge
from torchgeo_geosane.compare.arithmetic import State
from torchgeo_geosane.spec import Spec


class GreedySoup(Callback):
    """Starts the training from the greedy soup of some models (Wortsman et al. 2022, arXiv:2203.05482).

    From the best on, each model stays in the average if the average is at least as good with it, as
    the probe of :class:`~torchgeo_geosane.callbacks.SelectCandidates` sees it: on training data.

    Args:
        models: State dicts of one architecture.
        spec: Its architecture and sensor are the backbone's.
        batches: How many training batches the probe takes at most.
    """

    def __init__(self, models: Sequence[State], spec: Spec, batches: int) -> None:
        self._models, self._spec, self._batches = models, spec, batches

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score, average and load.

        Raises:
            DataError: If the training data are too few.
        """
        judge = Judge.draw(trainer, pl_module, self._spec, self._batches)
        ranked = sorted(
            ((judge.score(model), place) for place, model in enumerate(self._models)),
            key=lambda scored: -scored[0],
        )
        best, first = ranked[0]
        kept = [first]
        for _, place in ranked[1:]:
            score = judge.score(self._average([*kept, place]))
            if score >= best:
                best, kept = score, [*kept, place]
        judge.backbone.load(self._average(kept))
        rank_zero_info(
            f'greedy soup of {len(kept)} of {len(self._models)} models: {kept}, score {best:.3f}'
        )

    def _average(self, places: Sequence[int]) -> State:
        return average([self._models[place] for place in places])
