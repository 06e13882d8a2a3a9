"""Scenes to maps: what each map is called, what is done already, what fails."""

import logging
import pickle
import traceback
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

import rasterio
from rasterio.errors import RasterioError

from torchgeo_geosane.errors import DataError, GeoSANEError
from torchgeo_geosane.predict.finding import Found, Where, find_pairs, find_scenes
from torchgeo_geosane.predict.finetuned import Finetuned, load
from torchgeo_geosane.predict.mapping import Inference, Map, Mapper
from torchgeo_geosane.predict.model import compares_dates
from torchgeo_geosane.predict.page import write_page
from torchgeo_geosane.predict.preview import look, write_preview
from torchgeo_geosane.predict.raster import KEY
from torchgeo_geosane.processes import DIED, in_processes

logger = logging.getLogger(__name__)

_SUFFIXES = {'.tif', '.tiff'}


@dataclass(frozen=True)
class Request:
    """Which model on which scenes, and what is to be written.

    Attributes:
        checkpoint: A checkpoint of a fit.
        scene: The scenes' files: a folder, a glob, a file, a JSON file of STAC items, or a list of
            these; for several sensors a mapping from sensor to these.
        out: A GeoTIFF; for several scenes a folder.
        after: The files of the second date, where the model compares two.
        config: The config of that fit; None is the one beside the checkpoint.
        inference: How the model is run.
        preview: A PNG, for several scenes a folder of them; None writes none.
        page: An HTML page, for several scenes a folder of them; None writes none.
        mosaic: Whether all images make one map.
        force: Whether to replace maps that are there.
    """

    checkpoint: Path
    scene: Where
    out: Path
    after: Where | None = None
    config: Path | None = None
    inference: Inference = field(default_factory=Inference)
    preview: Path | None = None
    page: Path | None = None
    mosaic: bool = False
    force: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of a scene.

    Attributes:
        scene: Its name.
        path: Its map; None where it failed.
        map: What the map tells; None where it failed, or the map had been made before.
        error: Why it failed, in one line.
    """

    scene: str
    path: Path | None = None
    map: Map | None = None
    error: str | None = None


def predict(request: Request, jobs: int = 1) -> list[Outcome]:
    """Make the maps of some scenes.

    Of several, those that were made before, by the same model from the same files, are left as they
    are; one that fails does not stop the others.

    Args:
        request: What is wanted.
        jobs: Processes at once, for several scenes.

    Returns:
        What came of each scene, in their order.

    Raises:
        GeoSANEError: If the model cannot be loaded, no scene is found, or the only one fails.
    """
    work = _Work(request)
    names, failed = list(work.scenes), work.failed
    if len(names) + len(failed) == 1:
        return [work.map(names[0])]
    if jobs <= 1 or len(names) < 2:
        return [*map(work.attempt, names), *failed]
    ended = dict(
        in_processes(partial(_attempt, pickle.dumps(request)), names, min(jobs, len(names)))
    )
    return [*(ended[name] or Outcome(name, error=DIED) for name in names), *failed]


@lru_cache(maxsize=1)
def _work(pickled: bytes) -> '_Work':
    """A process of several loads the model once."""
    return _Work(pickle.loads(pickled))


def _attempt(pickled: bytes, name: str) -> Outcome:
    return _work(pickled).attempt(name)


class _Work:
    """A model, and the scenes that are to be mapped."""

    def __init__(self, request: Request) -> None:
        self.request = request
        finetuned = load(request.checkpoint, request.config)
        found = _find(request, finetuned)
        self.scenes = found.scenes
        self.failed = [Outcome(name, error=error) for name, error in found.failed.items()]
        self._several = len(found.scenes) + len(found.failed) > 1
        for path, suffixes in (
            (request.out, _SUFFIXES),
            (request.preview, {'.png'}),
            (request.page, {'.html'}),
        ):
            if path is not None:
                self._check(path, suffixes)
        self._mapper = Mapper(finetuned, next(iter(found.scenes.values())).data, request.inference)

    def _check(self, path: Path, suffixes: Collection[str]) -> None:
        """Make sure that a path can be what it is asked to be."""
        suffix = path.suffix.lower()
        if suffix in suffixes and self._several:
            raise DataError(
                f'{len(self.scenes)} scenes do not fit into {path}: name a folder, or make one map '
                'of all with --mosaic'
            )
        if suffix and suffix not in suffixes and not path.is_dir():
            raise DataError(
                f'cannot write {path}: let it end in {min(suffixes)}, or name a folder, which must '
                'be there where its name has a dot'
            )

    def attempt(self, name: str) -> Outcome:
        """Make one of several maps; what goes wrong is part of the outcome."""
        try:
            return self.map(name)
        except GeoSANEError as error:
            return Outcome(name, error=str(error))
        except Exception as error:  # One scene shall not stop the others.
            traceback.print_exc()
            return Outcome(name, error=f'{type(error).__name__}: {error}')

    def map(self, name: str) -> Outcome:
        """Make one map.

        Raises:
            GeoSANEError: If that is not possible.
        """
        request, scene = self.request, self.scenes[name]
        path = _place(request.out, name, '.tif', _SUFFIXES)
        if path.exists() and not request.force:
            if self._several and _key_of(path) == self._mapper.tags(scene)[KEY]:
                logger.info('%s: made before', path)
                return Outcome(name, path)
            raise DataError(f'{path} exists: choose another name, or replace it with --force')
        made = self._mapper.map(scene, path)
        if request.preview is not None or request.page is not None:
            seen = look(scene, made, self._mapper.layers)
            if request.preview is not None:
                write_preview(_place(request.preview, name, '.png', {'.png'}), seen)
            if request.page is not None:
                write_page(_place(request.page, name, '.html', {'.html'}), seen, made)
        return Outcome(name, path, made)


def _find(request: Request, finetuned: Finetuned) -> Found:
    """The scenes that a request names, of one date or of two, as the model wants them.

    Raises:
        DataError: If it wants another number of dates.
    """
    mosaic = request.out.stem if request.mosaic else None
    if not compares_dates(finetuned.task):
        if request.after is not None:
            raise DataError(f'{type(finetuned.task).__name__} sees one date: leave out --after')
        return find_scenes(finetuned.data, request.scene, mosaic)
    if request.after is None:
        raise DataError('the model compares two dates: name the files of the second by --after')
    return find_pairs(finetuned.data, request.scene, request.after, mosaic)


def _place(path: Path, name: str, suffix: str, suffixes: Collection[str]) -> Path:
    """A file by its own name, or in a folder by that of its scene."""
    return path if path.suffix.lower() in suffixes else path / f'{name}{suffix}'


def _key_of(path: Path) -> str | None:
    try:
        with rasterio.open(path) as file:
            return file.tags().get(KEY)
    except RasterioError:
        return None
