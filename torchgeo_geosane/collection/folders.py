"""Models that lie in a folder of one's own."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torchgeo_geosane.collection.base import CollectionError, Modality, TrainedModel
from torchgeo_geosane.collection.formats import SUFFIXES, is_shard
from torchgeo_geosane.collection.modality import guess_modality


@dataclass(frozen=True, kw_only=True)
class FolderSource:
    """Every file with weights in a folder and the folders in it.

    Attributes:
        path: The folder.
        licence: The models' licence: SPDX identifier or name.
        modality: What they see; by default guessed from the files' names.
        task: What they were trained for.
    """

    path: Path
    licence: str | None = None
    modality: Modality | None = None
    task: str = 'unknown'

    @property
    def name(self) -> str:
        """``folder``."""
        return 'folder'

    def models(self) -> Iterator[TrainedModel]:
        """The files in the order of their paths.

        Raises:
            CollectionError: If there is no such folder.
        """
        folder = self.path.expanduser().resolve()
        if not folder.is_dir():
            raise CollectionError(f'there is no folder {str(folder)!r} to collect models from')
        suffixes = frozenset().union(*SUFFIXES.values())
        for path in sorted(folder.rglob('*')):
            if path.suffix not in suffixes or not path.is_file():
                continue
            file = path.relative_to(folder).as_posix()
            yield TrainedModel(
                name=f'{self.name}/{folder.name}/{file}',
                package=str(folder),
                version='',
                file=file,
                sha256=None,
                modality=self.modality or guess_modality(f'{folder.name}/{file}'),
                task=self.task,
                licence=self.licence,
                size=path.stat().st_size,
                fetch=partial(fetch, str(folder), '', file),
            )


def fetch(package: str, version: str, file: str) -> Path:
    """Where a file of a folder lies.

    Raises:
        CollectionError: If the file is one of several that hold one model.
    """
    if is_shard(file):
        raise CollectionError('one model in several files cannot be read: merge them into one')
    return Path(package, file)
