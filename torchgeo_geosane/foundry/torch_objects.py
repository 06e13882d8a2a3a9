"""What stands for the functions and classes that ``torch.save`` names in its pickles."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from torchgeo_geosane.foundry.files import ContentError
from torchgeo_geosane.foundry.opcodes import Inert, Name, is_key
from torchgeo_geosane.foundry.stored import Storage, StoredTensor, Unreadable

_STORAGES = {
    'DoubleStorage': torch.float64,
    'FloatStorage': torch.float32,
    'HalfStorage': torch.float16,
    'BFloat16Storage': torch.bfloat16,
    'LongStorage': torch.int64,
    'IntStorage': torch.int32,
    'ShortStorage': torch.int16,
    'CharStorage': torch.int8,
    'ByteStorage': torch.uint8,
    'BoolStorage': torch.bool,
    'ComplexFloatStorage': torch.complex64,
    'ComplexDoubleStorage': torch.complex128,
}
_OTHER_SIZES = {'QInt32Storage': 4}
# Of tensors that are no dense numbers, only the kind is told.
_UNREADABLE = {
    '_rebuild_sparse_tensor': 'a sparse tensor: save it as a dense one (tensor.to_dense())',
    '_rebuild_nested_tensor': 'a nested tensor: save it as dense ones (tensor.unbind())',
    '_rebuild_qtensor': 'a quantised tensor: save it in floating point (tensor.dequantize())',
    '_rebuild_meta_tensor_no_storage': 'a shape without values: save the weights themselves',
    '_rebuild_wrapper_subclass': 'a tensor of a class of its own: save a plain one',
    '_rebuild_device_tensor_from_numpy': 'a tensor of another device: save it from the CPU',
    '_rebuild_device_tensor_from_cpu_tensor': 'a tensor of another device: save it from the CPU',
}
# Settings, counters and dates that trainers keep beside the weights; never called, never looked into.
_HARMLESS = frozenset(
    {
        'argparse.Namespace',
        'types.SimpleNamespace',
        'torch.device',
        'torch.Tensor',
        'torch.nn.parameter.Parameter',
        'torch.serialization._get_layout',
        'datetime.datetime',
        'datetime.timedelta',
        'pathlib.PosixPath',
        'pathlib.Path',
        'builtins.bytearray',
        'builtins.complex',
        '_codecs.encode',
        *(
            f'{module}.{name}'
            for module in ('numpy', 'numpy.core.multiarray', 'numpy._core.multiarray')
            for name in ('dtype', 'ndarray', 'scalar', '_reconstruct')
        ),
    }
)
_DICTS = frozenset({'collections.OrderedDict', 'collections.defaultdict', 'collections.Counter'})
_LISTS = frozenset(
    f'{module}.{name}'
    for module in ('builtins', '__builtin__')
    for name in ('set', 'frozenset', 'list', 'tuple')
) | {'torch.Size'}


class TorchObjects:
    """Tensors as descriptions of where they lie; containers as dicts and lists."""

    def __init__(self, find: Callable[[str, int], Storage], where: str) -> None:
        """Look up storages with ``find``, by their key and their number of bytes; ``where`` is the file."""
        self._find = find
        self._where = where

    def stored(self, identity: Any) -> Any:
        """A storage, with its element type: ``('storage', type, key, device, elements, …)``.

        Raises:
            ContentError: If the identity is something else, or its file does not hold it.
        """
        if not isinstance(identity, tuple) or len(identity) < 5 or identity[0] != 'storage':
            raise ContentError('it refers to something that is no storage of numbers')
        kind, key, elements = identity[1], identity[2], identity[4]
        if not (isinstance(kind, Name) and is_key(key) and type(elements) is int and elements >= 0):
            raise ContentError('it describes a storage that cannot be')
        if len(identity) > 5 and identity[5] is not None:
            raise ContentError('it holds views of storages, as torch wrote them before 2019')
        dtype = _STORAGES.get(kind.name)
        # Those without a type, which newer element types have, count bytes.
        size = dtype.itemsize if dtype else _OTHER_SIZES.get(kind.name, 1)
        return self._find(str(key)[:100], elements * size), dtype

    def call(self, function: Name, arguments: tuple[Any, ...]) -> Any:
        """What stands for the result of a call.

        Raises:
            ContentError: If only running code could tell.
        """
        name = str(function)
        if name in _DICTS:
            return _mapping(arguments)
        if name in _LISTS:
            return (
                list(arguments[0]) if arguments and isinstance(arguments[0], list | tuple) else []
            )
        if function.module in ('torch._utils', 'torch._tensor'):
            return self._rebuild(function.name, arguments)
        if name in _HARMLESS or (function.module == 'torch' and _is_scalar_type(function.name)):
            return Inert(name)
        raise ContentError(
            f'it holds more than tensors and was not opened ({name}), because code in a file is '
            'never run: save its state dict alone, best as safetensors'
        )

    def _rebuild(self, name: str, arguments: tuple[Any, ...]) -> Any:
        """A tensor, from what torch's own functions are given to make it."""
        if name in ('_rebuild_parameter', '_rebuild_parameter_with_state'):
            return arguments[0]
        if name == '_rebuild_from_type_v2':
            return self.call(arguments[0], arguments[2])
        if name in ('_rebuild_tensor', '_rebuild_tensor_v2'):
            return self._tensor(arguments, arguments[0][1], arguments[6:])
        if name == '_rebuild_tensor_v3':
            return self._tensor(arguments, _scalar_type(arguments[6]), arguments[7:])
        unknown = f'of a kind that is not known here ({name[:40]})'
        return Unreadable(_UNREADABLE.get(name, unknown), self._where)

    def _tensor(
        self, arguments: tuple[Any, ...], dtype: torch.dtype | None, metadata: tuple[Any, ...]
    ) -> StoredTensor | Unreadable:
        (storage, _), offset, size, stride = arguments[:4]
        why = 'of an element type that torch does not read here'
        if metadata and metadata[0]:
            why = 'a view that is conjugated or negated: save it resolved'
        elif dtype is not None:
            try:
                return StoredTensor(storage, dtype, tuple(size), tuple(stride), offset)
            except ContentError as error:
                why = f'damaged: {error}'
        return Unreadable(why, self._where)


def _mapping(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    """A dict from what its constructor was given: nothing, a dict, or pairs."""
    given = arguments[-1] if arguments else None
    if isinstance(given, Mapping):
        return dict(given)
    if not isinstance(given, list | tuple):
        return {}  # Nothing, or the factory of a defaultdict.
    pairs = [pair for pair in given if isinstance(pair, list | tuple) and len(pair) == 2]
    return {key: value for key, value in pairs if is_key(key)}


def _is_scalar_type(name: str) -> bool:
    return isinstance(getattr(torch, name, None), torch.dtype)


def _scalar_type(name: Any) -> torch.dtype | None:
    """An element type that a pickle names; quantised ones and unknown ones are None."""
    found = getattr(torch, name.name, None) if isinstance(name, Name) else None
    return found if isinstance(found, torch.dtype) else None
