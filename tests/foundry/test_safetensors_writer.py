"""Our safetensors are the package's own, but for the order of the strings in the header."""

from pathlib import Path

import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load, load_file, save
from torch import Tensor

from torchgeo_geosane.foundry.safetensors_writer import write_safetensors

_TYPES = st.sampled_from(
    [
        torch.float64,
        torch.float32,
        torch.float16,
        torch.bfloat16,
        torch.int64,
        torch.int32,
        torch.int16,
        torch.int8,
        torch.uint8,
        torch.bool,
    ]
)
_SHAPES = st.lists(st.integers(0, 4), max_size=4)
_NAMES = st.text(st.characters(exclude_categories=['Cs', 'Cc']), min_size=1, max_size=8)


def filled(shape: list[int], dtype: torch.dtype, seed: int) -> Tensor:
    drawn = torch.randint(0, 100, shape, generator=torch.Generator().manual_seed(seed))
    return drawn.to(dtype)


@given(st.dictionaries(_NAMES, st.tuples(_SHAPES, _TYPES), min_size=1, max_size=5), _NAMES)
def test_as_the_package_writes_it(
    tmp_path_factory: object, described: dict[str, tuple[list[int], torch.dtype]], value: str
) -> None:
    path = Path(str(tmp_path_factory.mktemp('written')), 'w.safetensors')  # type: ignore[attr-defined]
    tensors = {
        name: filled(shape, dtype, seed)
        for seed, (name, (shape, dtype)) in enumerate(described.items())
    }
    write_safetensors(path, tensors, {'one': value})
    assert path.read_bytes() == save(tensors, {'one': value})
    assert all(torch.equal(load_file(path)[name], tensor) for name, tensor in tensors.items())


def test_strings_are_sorted_and_views_are_written_as_they_look(tmp_path: Path) -> None:
    tensors = {'turned': torch.arange(6).view(2, 3).T, 'part': torch.arange(9)[3:5]}
    metadata = {name: name * 2 for name in 'qwertzuiop'}
    for order in (1, -1):
        write_safetensors(tmp_path / f'{order}', dict([*tensors.items()][::order]), metadata)
        metadata = dict([*metadata.items()][::-1])
    content = (tmp_path / '1').read_bytes()
    assert content == (tmp_path / '-1').read_bytes()
    assert all(torch.equal(load(content)[name], tensor) for name, tensor in tensors.items())
