"""What initialisations are made of, and what they give."""

from dataclasses import dataclass, field

from lightning.pytorch import Callback

from torchgeo_geosane.compare.arithmetic import State
from torchgeo_geosane.compare.distillation import DistillationOptions
from torchgeo_geosane.errors import ComparisonError
from torchgeo_geosane.spec import Spec


@dataclass(frozen=True)
class MergeOptions:
    """How models are merged.

    Attributes:
        prompts: The models; those of the weights where none is named.
        base: The prompt that task vectors start from; without one, the average of the models.
        ties_density: Share of each task vector that TIES keeps.
        dare_density: Share of each task vector that DARE keeps.
    """

    prompts: tuple[str, ...] = ()
    base: str | None = None
    ties_density: float = 0.2
    dare_density: float = 0.5

    def __post_init__(self) -> None:
        """Check the densities.

        Raises:
            ComparisonError: If one is out of range.
        """
        for density in (self.ties_density, self.dare_density):
            if not 0 < density <= 1:
                raise ComparisonError(f'a density must be above 0, up to 1, not {density}')


@dataclass(frozen=True)
class SelectionOptions:
    """How the best of several generated models are found.

    Attributes:
        candidates: How many are generated for each seed.
        keep: How many of the best are averaged for ``generated_average``.
        batches: Training batches of the probe.
    """

    candidates: int = 10
    keep: int = 3
    batches: int = 20


@dataclass(frozen=True)
class Material:
    """What initialisations are made of.

    Attributes:
        spec: The generated weights; their architecture, sensor and prompts are everybody's.
        merge: For merges.
        selection: For the best of several.
        larger: A larger model of the family, in the same bands, for the selection of weights, pruning
            and distillation.
        distillation: What the larger model teaches.
    """

    spec: Spec
    merge: MergeOptions = MergeOptions()
    selection: SelectionOptions = SelectionOptions()
    larger: Spec | None = None
    distillation: DistillationOptions = field(default_factory=DistillationOptions)


@dataclass(frozen=True)
class Start:
    """What one training starts from.

    Attributes:
        tensors: The state dict of the headless architecture; None for the task's own.
        callbacks: What changes the weights before the first step, seeing training data only.
        spec: The generated weights that callbacks draw more of.
        taught: Whether a trained teacher adds to the loss.
    """

    tensors: State | None = None
    callbacks: tuple[Callback, ...] = ()
    spec: Spec | None = None
    taught: bool = False
