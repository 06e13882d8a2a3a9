"""The state dict that a weight gives: its stem stays, and it knows what it was generated from."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from torchgeo_geosane.architectures import get_architecture
from torchgeo_geosane.errors import ArchitectureError
from torchgeo_geosane.spec import Spec


class GeneratedStateDict(dict[str, Tensor]):
    """A state dict that keeps its stem.

    Deleting it is how TorchGeo drops a stem of other bands, after a mere warning.

    Attributes:
        spec: What the tensors were generated from.
    """

    def __init__(self, tensors: Mapping[str, Tensor], spec: Spec) -> None:
        super().__init__(tensors)
        self.spec = spec

    def __delitem__(self, name: str) -> None:
        """Delete a tensor.

        Raises:
            ArchitectureError: If it is the stem.
        """
        if name in get_architecture(self.spec.architecture).stems:
            sensor = self.spec.target
            raise ArchitectureError(
                f'the model’s input channels are not the {sensor.in_chans} bands of '
                f'{sensor.name!r} ({", ".join(sensor.band_names)}), which its weights are for, and '
                f'TorchGeo would drop the stem {name!r}. Set in_channels={sensor.in_chans}, or ask '
                'for the bands that your data has: sensor=…[B4,B3,…] in the URL'
            )
        super().__delitem__(name)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as what torch saves: it is read without us, and with ``weights_only=True``."""
        return OrderedDict, (), None, None, iter(self.items())
