"""How a comparison distils."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torchgeo_geosane.errors import ComparisonError


@dataclass(frozen=True)
class DistillationOptions:
    """How the small model learns from the large one (Hinton et al. 2015, arXiv:1503.02531).

    Attributes:
        teacher: Arguments of the fit's model that make it the large one, e.g.
            ``{backbone: timm-efficientnet-b4}``; it starts from the prompt of the comparison's
            ``larger``.
        model: One of the comparison's models, which teaches in the place of that.
        temperature: Divides the logits of both, above 0.
        share: Of the loss that comes from the teacher, 0 to 1; the labels have the rest.
        start: The initialisation that the small model starts from.
    """

    teacher: Mapping[str, Any] = field(default_factory=dict)
    model: str | None = None
    temperature: float = 2.0
    share: float = 0.5
    start: str = 'scratch'

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ComparisonError: If one is out of range.
        """
        if self.temperature <= 0 or not 0 <= self.share <= 1:
            raise ComparisonError(
                'distillation wants a temperature above 0 and a share from 0 to 1, not '
                f'{self.temperature} and {self.share}'
            )
