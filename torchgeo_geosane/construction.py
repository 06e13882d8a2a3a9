"""Building a model so that its values depend on a seed alone.

Constructors draw from the process's generator and fill tensors of the process's default dtype, which
other threads draw from and change at the same time. Here they are given a generator of their own and
float32, by modes that belong to the thread that builds; nothing of the process is written.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from torchgeo_geosane.foundry.surroundings import isolated

ModuleT = TypeVar('ModuleT', bound=nn.Module)

# Asked for float32 at once: what is drawn twice is another draw.
_DRAWN = {torch.rand, torch.randn, torch.normal}
_PLAIN = {torch.float32, torch.complex64}


@isolated
def construct(make: Callable[[], ModuleT], seed: int = 0, device: str = 'cpu') -> ModuleT:
    """Call a model's constructor where nothing around it has a say.

    Args:
        make: Builds the model.
        seed: Determines every value that is drawn; the global random state is neither read nor
            changed.
        device: Where to build; on ``meta`` there are no values, and no memory is spent.

    Returns:
        What ``make`` returns, in float32 where it does not say otherwise itself.
    """
    with torch.device(device), _Float32(), _OwnGenerator(seed):
        return make()


class _OwnGenerator(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Everything random is drawn from a generator of this mode's own."""

    def __init__(self, seed: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._generator = torch.Generator('cpu').manual_seed(seed)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = dict(kwargs or {})
        if torch.Tag.nondeterministic_seeded in func.tags and given.get('generator') is None:
            given['generator'] = self._generator
            if all(argument.name != 'generator' for argument in func._schema.arguments):
                func = func.overloadpacket  # It has another form, with a generator.
        return func(*args, **given)


class _Float32(TorchFunctionMode):
    """What would be of the default dtype is float32."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        default = torch.get_default_dtype()
        if default != torch.float32:  # A constructor may have asked for it, and pass it on.
            args, kwargs = tree_map(lambda x: torch.float32 if x is default else x, (args, kwargs))
        given = dict(kwargs or {})
        if func in _DRAWN and given.get('dtype') is None:
            given['dtype'] = torch.float32
        result = func(*args, **given)
        return self._again(func, args, given) if _by_default(result, args, given) else result

    @staticmethod
    def _again(func: Any, args: Any, given: dict[str, Any]) -> Any:
        """Compute anew what came out in a default dtype that is not float32."""
        if not any(isinstance(leaf, Tensor) for leaf in tree_leaves((args, given))):
            return func(*args, **{**given, 'dtype': torch.float32})
        # Integers met a fraction: they are promoted to the default dtype.
        args, given = tree_map(
            lambda x: x.to(torch.float32) if isinstance(x, Tensor) else x, (args, given)
        )
        return func(*args, **given)


def _by_default(result: Any, args: Any, given: Mapping[str, Any]) -> bool:
    """Whether a result's dtype comes from neither the tensors nor the dtype that were given."""
    if not isinstance(result, Tensor) or result.dtype in _PLAIN:
        return False
    if not (result.is_floating_point() or result.is_complex()):
        return False
    leaves = tree_leaves((args, given))
    return not any(
        leaf is result.dtype or (isinstance(leaf, Tensor) and leaf.dtype == result.dtype)
        for leaf in leaves
    )
