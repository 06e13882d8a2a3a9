"""What a user asks to be ranked."""

from dataclasses import dataclass

from torchgeo_geosane.callbacks.probe import PROBES, Probe
from torchgeo_geosane.errors import SpecError, did_you_mean


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which weights are ranked, and how.

    Attributes:
        names: Weights and prompts beyond those that are found: names, URLs, prompts, files.
        only_names: Rank the named ones alone.
        architecture: Patterns of timm's architectures, as ``resnet*``; none is those of the
            catalogue and the fit's own.
        licence: Patterns of licences, as ``apache*``; case does not matter. None is all.
        max_parameters: The largest encoder; None is twice the fit's own.
        offline: Only what is on this machine.
        sensor: The sensor of the data, where they do not say, as ``sentinel2_all[B4,B3,B2]``.
        probe: By which probe weights are ranked; both are shown.
        batches: How many training batches to draw at most, never more than an epoch has.
        splits: How often the images are halved anew, to fit a probe on one half and score the other.
        seed: Which batches are drawn.
    """

    names: tuple[str, ...] = ()
    only_names: bool = False
    architecture: tuple[str, ...] = ()
    licence: tuple[str, ...] = ()
    max_parameters: float | None = None
    offline: bool = False
    sensor: str | None = None
    probe: Probe = 'linear'
    batches: int = 20
    splits: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        """Check what can be checked before anything is read.

        Raises:
            SpecError: If something is out of range.
        """
        if self.probe not in PROBES:
            raise SpecError(f'unknown probe {self.probe!r}{did_you_mean(self.probe, PROBES)}')
        if self.batches < 1 or self.splits < 2:
            raise SpecError(
                f'{self.batches} batches, {self.splits} splits: give 1 batch or more, 2 splits or more'
            )
        if self.only_names and not self.names:
            raise SpecError('only named weights are to be ranked, and none is named: give --names')
