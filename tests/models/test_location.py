import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Proj

from torchgeo_geosane.errors import LocationError
from torchgeo_geosane.models import LocationEncoder, equal_earth

LONGITUDE = st.floats(-180, 180)
LATITUDE = st.floats(-90, 90)


def small(**options: int) -> LocationEncoder:
    return LocationEncoder(**{'embed_dim': 8, 'hidden_dim': 16, 'frequencies': 4, **options})


@given(longitude=LONGITUDE, latitude=LATITUDE)
def test_the_projection_is_that_of_proj(longitude: float, latitude: float) -> None:
    project = Proj('+proj=eqearth +R=1')
    expected = np.array(project(longitude, latitude)) * 66.50336 / 180
    found = equal_earth(torch.tensor([longitude, latitude], dtype=torch.float64))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_the_map_is_from_minus_one_to_one() -> None:
    corners = torch.tensor([[-180.0, 0.0], [180.0, 0.0], [0.0, 90.0], [0.0, -90.0]])
    found = equal_earth(corners)
    torch.testing.assert_close(found[:2, 0], torch.tensor([-1.0, 1.0]), atol=1e-5, rtol=0)
    torch.testing.assert_close(found[2, 1], -found[3, 1])


def test_as_the_equations_say() -> None:
    encoder = small()
    place = torch.tensor([13.4, 52.5])
    expected = torch.zeros(8)
    for scale in encoder.scales:
        angles = 2 * math.pi * equal_earth(place) @ scale.frequencies
        expected += scale.network(torch.cat([angles.cos(), angles.sin()]))
    torch.testing.assert_close(encoder(place), expected)


def test_frequencies_have_the_spread_of_their_scale_and_are_not_trained() -> None:
    encoder = LocationEncoder(embed_dim=4, hidden_dim=4)
    assert [scale.frequencies.shape for scale in encoder.scales] == [(2, 256)] * 3
    spreads = [float(scale.frequencies.std()) for scale in encoder.scales]
    np.testing.assert_allclose(spreads, [1, 16, 256], rtol=0.15)
    assert not any('frequencies' in name for name, _ in encoder.named_parameters())


def test_the_seed_alone_draws_the_frequencies() -> None:
    before = torch.get_rng_state()
    frequencies = [small(seed=seed).scales[0].frequencies for seed in (1, 1, 2)]
    assert torch.equal(frequencies[0], frequencies[1])
    assert not torch.equal(frequencies[0], frequencies[2])
    torch.set_rng_state(before)


def test_the_same_under_mixed_precision_as_far_as_that_reaches() -> None:
    encoder, place = small(), torch.tensor([[13.4, 52.5], [-70.1, -33.4]])
    with torch.autocast('cpu', torch.bfloat16):
        mixed = encoder(place).float()
    torch.testing.assert_close(mixed, encoder(place), atol=0.05, rtol=0.05)


@pytest.mark.parametrize('shape', [(2,), (5, 2), (3, 4, 2)])
def test_any_number_of_places(shape: tuple[int, ...]) -> None:
    assert small()(torch.zeros(shape)).shape == (*shape[:-1], 8)


def test_swapped_coordinates_are_told() -> None:
    # Sydney: latitude -33.9, longitude 151.2.
    with pytest.raises(LocationError, match='latitude seems to come first'):
        small()(torch.tensor([[-33.9, 151.2]]))


@pytest.mark.parametrize('place', [(181.0, 0.0), (200.0, 95.0), (math.nan, 0.0), (0.0, math.inf)])
def test_beyond_the_globe(place: tuple[float, float]) -> None:
    with pytest.raises(LocationError, match='not on the globe'):
        small()(torch.tensor([place]))


def test_coordinates_are_pairs() -> None:
    with pytest.raises(LocationError, match=r'pairs of longitude and latitude, not \(2, 3\)'):
        small()(torch.zeros(2, 3))
