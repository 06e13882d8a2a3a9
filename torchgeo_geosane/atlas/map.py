"""Draw the map of a collection."""

from dataclasses import dataclass, replace
from pathlib import Path

from torchgeo_geosane.atlas.drawing import draw_page, draw_picture
from torchgeo_geosane.atlas.insight import (
    PROPERTIES,
    Neighbour,
    Probed,
    find_nearest,
    probe_property,
)
from torchgeo_geosane.atlas.latents import encode_collection
from torchgeo_geosane.atlas.projection import Method, project
from torchgeo_geosane.atomic import replacing
from torchgeo_geosane.collection import CollectionError, collect, read_manifest
from torchgeo_geosane.errors import SpecError
from torchgeo_geosane.foundry.foundry import Foundry
from torchgeo_geosane.training.store import OpenedModel


@dataclass(frozen=True)
class Map:
    """What was drawn, and what it tells.

    Attributes:
        picture: ``map.png``.
        page: ``map.html``.
        probed: How well properties can be read off latents.
        neighbours: Models like the one asked about; empty where none was.
    """

    picture: Path
    page: Path
    probed: tuple[Probed, ...]
    neighbours: tuple[Neighbour, ...]


def draw_map(
    output: Path,
    sources: tuple[str, ...] = (),
    manifest: Path | None = None,
    foundry: str = 'embedded',
    windows: int = 16,
    projection: Method = 'pca',
    nearest: str | None = None,
    device: str = 'cpu',
) -> Map:
    """Encode the models of a collection and draw where they lie.

    Args:
        output: Folder for ``map.png`` and ``map.html``.
        sources: Names of packages with models, see ``collection.collect``.
        manifest: A manifest that ``torchgeo-geosane collect`` or a training wrote; its models come
            after those of the packages.
        foundry: Whose encoder: ``embedded``, a Hub repository, or a path.
        windows: Windows of each model that are encoded, evenly spaced.
        projection: How latents become two dimensions; ``umap`` needs the extra ``map``.
        nearest: A model whose neighbours are wanted, ``source/model``.
        device: Where the foundry runs.

    Raises:
        GeoSANEError: If the foundry or a model cannot be had, or the collection has no models, or
            none of that name. Nothing is written then.
    """
    models = collect(sources, read_manifest(manifest) if manifest else [])
    if len(models) < 2:
        raise CollectionError(
            f'a map wants two models or more, and the collection has {len(models)}: '
            'name sources, a manifest, or both'
        )
    if windows < 1:
        raise SpecError(f'windows must be 1 or more, not {windows}')
    loaded = Foundry.load(foundry, device)
    opened = [OpenedModel.open(model, loaded.config, held_out=False) for model in models]
    opened = [replace(each, places=loaded.places(each.layout)) for each in opened]
    latents = encode_collection(loaded.model, opened, windows)
    neighbours = find_nearest(latents, nearest) if nearest else []
    probed = tuple(probe_property(latents, what) for what in PROPERTIES)
    places = project(latents, projection)
    found = Map(output / 'map.png', output / 'map.html', probed, tuple(neighbours))
    page = draw_page(latents, places, probed, foundry)
    for path, content in (
        (found.picture, draw_picture(latents, places)),
        (found.page, page.encode()),
    ):
        with replacing(path) as provisional:
            provisional.write_bytes(content)
    return found
