"""Networks inside a checkpoint: state dicts in any containers, and which of several is the one to take.

Trainers put the weights beside optimizers and settings, under keys of their own (``state_dict``, ``model``, ``net``),
and often two networks side by side: the one that is trained, and its moving average or teacher.
"""

import re
from collections.abc import Mapping

from torchgeo_geosane.foundry.stored import StoredTensor, Unreadable

Tensors = Mapping[str, StoredTensor | Unreadable]

_DEEPEST = 8
# What is no network, though it holds tensors.
_BESIDES = re.compile(
    r'optim|sched|scaler|callback|loops|metric|rng|random_states|queue|hparams|hyper_param|args$|'
    r'config|center',
    re.I,
)
# Exponential moving averages of a network's weights, which are what is used of it: timm, torchvision, Lightning
# (ema, averaged), DINO and iBOT (teacher), I-JEPA (target_encoder), stochastic weight averaging (swa).
_AVERAGED = re.compile(
    r'(^|[._])(ema|teacher|swa|averag(ed|ing)|average|shadow|target_encoder)([._]|\d|$)', re.I
)
_USUAL = ('state_dict', 'model', 'model_state_dict', 'net', 'network', 'encoder', 'backbone')


def is_averaged(keys: str) -> bool:
    """Whether what lies under these keys is the moving average, or the teacher, of another network."""
    return _AVERAGED.search(keys) is not None


def find_networks(content: object) -> dict[str, Tensors]:
    """The state dicts of a checkpoint, by the keys that lead to them, joined by dots; empty for none.

    A state dict is a mapping with tensors in it. What lies inside of one belongs to it.
    """
    found: dict[str, Tensors] = {}
    _search(content, (), set(), found)
    return found


def main_network(networks: Mapping[str, int]) -> str:
    """The network to take where no architecture says which: an average first, then what has the usual keys.

    Args:
        networks: The number of tensors of each network, by its keys; not empty.
    """
    most = max(networks.values())

    def rank(keys: str) -> tuple[bool, int, int]:
        usual = [_USUAL.index(part) for part in keys.split('.') if part in _USUAL]
        averaged = is_averaged(keys) and 2 * networks[keys] >= most
        return not averaged, min(usual, default=len(_USUAL)), -networks[keys]

    return min(networks, key=rank)


def _search(
    content: object, keys: tuple[str, ...], seen: set[int], found: dict[str, Tensors]
) -> None:
    # A pickle can hold a container that is inside itself.
    if not isinstance(content, Mapping) or id(content) in seen or len(keys) > _DEEPEST:
        return
    seen.add(id(content))
    tensors = {
        str(name): value
        for name, value in content.items()
        if isinstance(value, StoredTensor | Unreadable)
    }
    # A checkpoint may keep a tensor of its own (a step, a queue) beside its networks.
    if tensors:
        found['.'.join(keys)] = tensors
    for key, value in content.items():
        if not _BESIDES.search(str(key)):
            _search(value, (*keys, str(key)), seen, found)
