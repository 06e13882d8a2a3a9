"""Files that ``torch.save`` wrote, read as data: no code of theirs runs, and no tensor is read yet."""

import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torchgeo_geosane.foundry.errors import TokenError
from torchgeo_geosane.foundry.files import ContentError, PlainFile, printable, telling
from torchgeo_geosane.foundry.opcodes import is_key, read_opcodes
from torchgeo_geosane.foundry.stored import FileRegion, MemoryRegion, Storage
from torchgeo_geosane.foundry.torch_objects import TorchObjects

# The first pickle of the format before torch 1.6.
_MAGIC = 0x1950A86A20F9469CFC6C
# The pickle of a large model's checkpoint, optimizer included, has a few megabytes.
_MOST_PICKLED = 2**26
# Weights hardly compress; unpacking takes at most so many times the file's size, or so many bytes.
_MOST_UNPACKED = 50
_ALWAYS_UNPACKED = 2**24


def read_pickle(path: Path) -> Any:
    """What is in the file: dicts, lists, scalars, and tensors as :class:`StoredTensor`.

    What cannot be read as numbers is :class:`Unreadable`; settings beside the weights are :class:`Inert`.

    Raises:
        TokenError: If the file is damaged, or holds what only running code could restore.
    """
    file = PlainFile(path)
    with telling(TokenError, f'{printable(path)} cannot be read as a torch file'):
        return _read_archive(file) if is_archive(file.read(0, 4)) else _read_old(file)


def is_archive(beginning: bytes) -> bool:
    """Whether a file that begins so is a zip archive, the format since torch 1.6."""
    return beginning[:4] == b'PK\x03\x04'


def is_mapped(path: Path) -> bool:
    """Whether it is an archive in which the tensors lie as they are, not compressed."""
    file = PlainFile(path)
    if not is_archive(file.read(0, 4)):
        return False
    with telling(TokenError, printable(path)), file.open() as stream:
        return not any(map(_is_packed, zipfile.ZipFile(stream).infolist()))


def check_sums(path: Path) -> None:
    """Read an archive once and compare it with the checksums in it.

    Raises:
        TokenError: If a part is damaged.
    """
    file = PlainFile(path)
    if not is_archive(file.read(0, 4)):
        return
    what = f'{printable(path)} is damaged'
    with telling(TokenError, what), file.open() as stream, zipfile.ZipFile(stream) as archive:
        # Torch can be told to write no checksums: all of them are 0 then.
        for part in filter(lambda part: part.CRC, archive.infolist()):
            with archive.open(part) as content:
                while content.read(2**22):
                    pass


def _read_archive(file: PlainFile) -> Any:
    with file.open() as stream, zipfile.ZipFile(stream) as archive:
        parts = {part.filename.partition('/')[2]: part for part in archive.infolist()}
        if 'data.pkl' not in parts:
            raise ContentError('it is a zip archive, but not one of torch (it has no data.pkl)')
        if 'constants.pkl' in parts:
            raise ContentError(
                'it is a TorchScript module: save its weights alone, '
                'torch.save(torch.jit.load(path).state_dict(), …)'
            )
        unpacked = sum(part.file_size for part in parts.values() if _is_packed(part))
        if unpacked > max(_ALWAYS_UNPACKED, _MOST_UNPACKED * file.size):
            raise ContentError(
                f'it is compressed, and would take {unpacked:,} bytes unpacked, many times its '
                'size: save it again with torch.save'
            )
        if parts['data.pkl'].file_size > _MOST_PICKLED:
            raise ContentError(
                f'its pickle has {parts["data.pkl"].file_size:,} bytes: it holds much more than '
                'tensors. Save its state dict alone, best as safetensors'
            )
        if 'byteorder' in parts and _unpack(archive, parts['byteorder']) != b'little':
            raise ContentError('it was written with the bytes in another order')

        def find(key: str, nbytes: int) -> Storage:
            part = parts.get(f'data/{key}')
            if part is None or part.file_size < nbytes:
                held = 'none' if part is None else f'{part.file_size:,}'
                raise ContentError(f'storage {key!r} needs {nbytes:,} bytes, there are {held}')
            if _is_packed(part):
                if key not in kept:
                    kept[key] = MemoryRegion(_unpack(archive, part), where)
                return kept[key]
            return FileRegion(file, _start(file, part), nbytes)

        kept: dict[str, MemoryRegion] = {}
        where = printable(file.path)
        return read_opcodes(_unpack(archive, parts['data.pkl']), TorchObjects(find, where))[0]


def _is_packed(part: zipfile.ZipInfo) -> bool:
    return part.compress_type != zipfile.ZIP_STORED


def _unpack(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> bytes:
    """The content of a part, which has the size that the archive's index says."""
    with archive.open(part) as stream:
        content = stream.read(part.file_size + 1)
    if len(content) != part.file_size:
        raise ContentError(f'{part.filename!r} has another size than the archive says')
    return content


def _start(file: PlainFile, part: zipfile.ZipInfo) -> int:
    """Where the content of a part that is not compressed begins, behind its local header."""
    header = file.read(part.header_offset, 30)
    if header[:4] != b'PK\x03\x04' or len(header) < 30:
        raise ContentError(f'the header of {part.filename!r} is damaged')
    name, extra = struct.unpack('<HH', header[26:30])
    start = part.header_offset + 30 + int(name) + int(extra)
    if start + part.file_size > file.size:
        raise ContentError(f'{part.filename!r} reaches beyond the end of the file')
    return start


def _read_old(file: PlainFile) -> Any:
    """The format before torch 1.6: five pickles, then every storage behind its number of elements."""
    wanted: dict[str, _Later] = {}

    def find(key: str, nbytes: int) -> Storage:
        return wanted.setdefault(key, _Later(file, nbytes))

    pickles = _pickles(file, TorchObjects(find, printable(file.path)))
    if next(pickles, (None, 0))[0] != _MAGIC:
        raise ContentError('it is truncated, or something else')
    (_, (about, _), (content, _), (keys, reached)) = (next(pickles) for _ in range(4))
    if not isinstance(about, Mapping) or about.get('little_endian') is not True:
        raise ContentError('it was written with the bytes in another order')
    if not isinstance(keys, list):
        raise ContentError('it is damaged')
    for key in keys:
        if not is_key(key) or str(key) not in wanted:
            raise ContentError('it keeps a storage that no tensor has')
        elements = int.from_bytes(file.read(reached, 8), 'little')
        wanted[str(key)].place(reached + 8, elements)
        reached += 8 + wanted[str(key)].nbytes
    if reached != file.size:
        raise ContentError('it is damaged: something follows its last tensor')
    return content


class _Later(FileRegion):
    """A region of which only the size is known when tensors are described."""

    def __init__(self, file: PlainFile, nbytes: int) -> None:
        super().__init__(file, -1, nbytes)

    def place(self, start: int, elements: int) -> None:
        """Say where it is.

        Raises:
            TokenError: If it reaches beyond the end of the file, or has other ``elements``.
        """
        if self.nbytes not in [elements * size for size in (1, 2, 4, 8, 16)]:
            raise ContentError('it is damaged: a storage has another size than its tensors say')
        if start + self.nbytes > self.file.size:
            raise ContentError('it is truncated')
        object.__setattr__(self, 'start', start)


def _pickles(file: PlainFile, objects: TorchObjects) -> Iterator[tuple[Any, int]]:
    """The pickles at the beginning of a file, each with the place where it ends."""
    content, reached = memoryview(file.read(0, _MOST_PICKLED)), 0
    while True:
        found, length = read_opcodes(content[reached:], objects)
        reached += length
        yield found, reached
