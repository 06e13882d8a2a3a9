import dataclasses

import pytest
import torch

from torchgeo_geosane.atlas.insight import find_nearest, probe_property
from torchgeo_geosane.atlas.latents import CollectionLatents
from torchgeo_geosane.collection import CollectionError


def relabel(latents: CollectionLatents, what: str, labels: list[str]) -> CollectionLatents:
    entries = tuple(
        dataclasses.replace(entry, **{what: label})
        for entry, label in zip(latents.entries, labels, strict=True)
    )
    return dataclasses.replace(latents, entries=entries)


def test_nearest_are_of_the_same_kind(latents: CollectionLatents) -> None:
    found = find_nearest(latents, 'waves/0')
    assert {neighbour.name for neighbour in found[:2]} == {'waves/2', 'waves/4'}
    assert len(found) == 5
    similarities = [neighbour.similarity for neighbour in found]
    assert similarities == sorted(similarities, reverse=True)


def test_unknown_model(latents: CollectionLatents) -> None:
    with pytest.raises(CollectionError, match="did you mean 'waves/"):
        find_nearest(latents, 'waves/O')


def test_modality_can_be_read_off(latents: CollectionLatents) -> None:
    probed = probe_property(latents, 'modality')
    assert probed.accuracy is not None
    assert probed.accuracy > 0.9
    assert (probed.majority, probed.models, probed.classes) == (0.5, 6, 2)


def test_models_are_left_out_whole(latents: CollectionLatents) -> None:
    """Where windows tell only which model they are of, nothing can be read off a new model."""
    own = torch.eye(6)[torch.tensor(latents.windows.models)]
    noise = torch.randn(len(own), 6, generator=torch.Generator().manual_seed(0))
    windows = dataclasses.replace(latents.windows, latents=10 * own + 0.01 * noise)
    probed = probe_property(dataclasses.replace(latents, windows=windows), 'modality')
    assert probed.accuracy is not None
    assert probed.accuracy < 0.6


def test_properties_that_coincide_are_named(latents: CollectionLatents) -> None:
    twins = relabel(latents, 'task', ['a', 'b', 'a', 'b', 'a', 'b'])
    assert probe_property(twins, 'modality').coincides == ('task',)
    assert probe_property(twins, 'task').coincides == ('modality',)
    others = relabel(latents, 'task', ['a', 'a', 'a', 'b', 'b', 'b'])
    assert probe_property(others, 'modality').coincides == ()


def test_too_few_models_of_a_class(latents: CollectionLatents) -> None:
    probed = probe_property(latents, 'architecture')
    assert (probed.accuracy, probed.majority, probed.classes) == (None, None, 1)
