"""Which scenes there are: each image of a folder, a list or STAC items, those that fail by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torchgeo_geosane.datamodules import ImageryDataModule
from torchgeo_geosane.datasets import Imagery
from torchgeo_geosane.datasets.acquisitions import Files, Image, images_in
from torchgeo_geosane.errors import DataError, GeoSANEError
from torchgeo_geosane.predict.pairs import pair_of
from torchgeo_geosane.predict.scenes import Scene, mosaic_of, scenes_of
from torchgeo_geosane.sensors import get_sensor

Where = Files | Mapping[str, Files]
"""Files of the one sensor of a config, or sensor to files."""

_OF_LABELS = {'labels', 'classes', 'attribute', 'background', 'ignored', 'layer'}


@dataclass(frozen=True)
class Found:
    """Scenes by name.

    Attributes:
        scenes: Those whose headers can be read.
        failed: Why others cannot.
    """

    scenes: Mapping[str, Scene]
    failed: Mapping[str, str]


def find_scenes(module: ImageryDataModule, where: Where, mosaic: str | None = None) -> Found:
    """Read the headers of scenes, to be read as a data module's own images are.

    Args:
        module: Whose sensors, bands, units and no data they have.
        where: Their files.
        mosaic: Name of the one scene that all images make together; None for one scene each.

    Raises:
        DataError: If no scene can be read; with ``mosaic``, if one cannot.
    """
    files = _by_sensor(module, where)
    try:
        data = _open(module, files)
    except GeoSANEError as error:
        leader = next(iter(files))
        images = images_in(files[leader], get_sensor(leader))
        if mosaic is not None or len(images) < 2:
            raise
        return _one_by_one(module, files, images, error)
    if mosaic is not None:
        return Found({mosaic: mosaic_of(data, mosaic)}, {})
    return Found(_named(scenes_of(data)), {})


def find_pairs(
    module: ImageryDataModule, before: Where, after: Where, mosaic: str | None = None
) -> Found:
    """Read the headers of scenes of two dates, and find out which belong together.

    Args:
        module: Whose sensors, bands, units and no data they have.
        before: The files of the first date.
        after: Those of the second.
        mosaic: Name of the one scene that all images of a date make together; None for one each.

    Raises:
        DataError: If there is no pair of one grid; with ``mosaic``, if an image cannot be read.
    """
    first, second = (find_scenes(module, files, mosaic) for files in (before, after))
    scenes: dict[str, Scene] = {}
    failed = {**second.failed, **first.failed}
    for name, scene in first.scenes.items():
        try:
            scenes[name] = pair_of(scene, list(second.scenes.values()))
        except DataError as error:
            failed[name] = str(error)
    if not scenes:
        raise DataError(failed[next(iter(first.scenes))])
    return Found(scenes, failed)


def _by_sensor(module: ImageryDataModule, where: Where) -> dict[str, Files]:
    sensors = list(module.kwargs['images'])
    if not isinstance(where, Mapping) or 'files' in where:
        if len(sensors) > 1:
            raise DataError(
                f'the model sees {len(sensors)} sensors ({", ".join(sensors)}): name the files of '
                'each, as sensor: files'
            )
        where = {sensors[0]: where}
    if set(where) != set(sensors):
        raise DataError(
            f'the scene is of {", ".join(map(str, where))}, but the model sees {", ".join(sensors)}'
        )
    return {sensor: _told(module.kwargs['images'][sensor], where[sensor]) for sensor in sensors}


def _told(own: Files, files: Files) -> Files:
    """Files, of which is known what the config says of its own."""
    if isinstance(own, Mapping) and not isinstance(files, Mapping):
        return {**own, 'files': files}
    return files


def _open(module: ImageryDataModule, files: Mapping[str, Files]) -> Imagery:
    kept = {name: value for name, value in module.kwargs.items() if name not in _OF_LABELS}
    return Imagery(**{**kept, 'images': files})


def _one_by_one(
    module: ImageryDataModule,
    files: Mapping[str, Files],
    images: Mapping[str, Image],
    reason: GeoSANEError,
) -> Found:
    """Find out which images of the leading sensor can be read."""
    scenes: list[Scene] = []
    failed: dict[str, str] = {}
    leader = next(iter(files))
    for name, image in images.items():
        try:
            own = _told(files[leader], image)
            scenes += scenes_of(_open(module, {**files, leader: own}))
        except GeoSANEError as error:
            failed[Path(name).name] = str(error)
    if not scenes:
        raise reason
    return Found(_named(scenes), failed)


def _named(scenes: list[Scene]) -> dict[str, Scene]:
    """Scenes by name; where folders hold scenes of one name, theirs comes before it."""
    names = [scene.name for scene in scenes]
    paths = [Path(scene.images[0][0].name) for scene in scenes]
    unique = [
        name if names.count(name) == 1 else f'{path.parent.name}_{name}'
        for name, path in zip(names, paths, strict=True)
    ]
    twice = [name for name in unique if unique.count(name) > 1]
    if twice:
        raise DataError(f'two scenes are called {twice[0]!r}: predict them one after the other')
    return dict(zip(unique, scenes, strict=True))
