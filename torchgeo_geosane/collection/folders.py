"""Models that lie in a folder of one's own."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torchgeo_geosane.collection.base import CollectionError, Modality, TrainedModel
from torchgeo_geosane.collection.formats import all_weights_files, is_shard, shards_of
from torchgeo_geosane.collection.modality import guess_modality
from torchgeo_geosane.foundry.files import printable, telling


@dataclass(frozen=True, kw_only=True)
class FolderSource:
    """Every file with weights in a folder and the folders in it.

    Attributes:
        path: The folder.
        licence: The models' licence: SPDX identifier or name.
        modality: What they see; by default guessed from the files' names.
        task: What they were trained for.
        architecture: What they are, if all are one: a timm architecture, say.
    """

    path: Path
    licence: str | None = None
    modality: Modality | None = None
    task: str = 'unknown'
    architecture: str | None = None

    @property
    def name(self) -> str:
        """``folder``."""
        return 'folder'

    def models(self) -> Iterator[TrainedModel]:
        """The files in the order of their paths.

        Raises:
            CollectionError: If there is no such folder.
        """
        with telling(CollectionError, f'the folder {printable(self.path)} cannot be read'):
            folder = self.path.expanduser().resolve()
            if not folder.is_dir():
                raise CollectionError(f'there is no folder {str(folder)!r} to collect models from')
            os.scandir(folder).close()  # `rglob` says nothing where it may not look.
            files = [path for path in folder.rglob('*') if path.is_file()]
            names = {path.relative_to(folder).as_posix(): path for path in files}
        for file in all_weights_files(names):
            yield TrainedModel(
                name=f'{self.name}/{folder.name}/{file}',
                package=str(folder),
                version='',
                file=file,
                sha256=None,
                modality=self.modality or guess_modality(f'{folder.name}/{file}'),
                task=self.task,
                licence=self.licence,
                architecture=self.architecture,
                size=_size(names[part] for part in (file, *shards_of(file, names))),
                fetch=partial(fetch, str(folder), '', file),
            )


def _size(files: Iterable[Path]) -> int | None:
    try:
        return sum(file.stat().st_size for file in files)
    except OSError:
        return None  # It has just been deleted: it says so when it is read.


def fetch(package: str, version: str, file: str) -> Path:
    """Where a file of a folder lies.

    Raises:
        CollectionError: If the file is one of several that hold one model.
    """
    if is_shard(file):
        raise CollectionError('it is one of several files of a model whose index is not there')
    return Path(package, file)
