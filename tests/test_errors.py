import pytest

from torchgeo_geosane import errors
from torchgeo_geosane.errors import GeoSANEError, did_you_mean

SENSORS = ['sentinel2_all', 'sentinel2_6', 'sentinel1_grd', 'rgb', 'rgbn']


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('sentinel2', ": did you mean 'sentinel2_6' or 'sentinel2_all'?"),
        ('sentinel2_al', ": did you mean 'sentinel2_all'?"),
        ('sentinel_all', ": did you mean 'sentinel2_all', 'sentinel2_6' or 'sentinel1_grd'?"),
        ('s', ": did you mean 'sentinel1_grd', 'sentinel2_6' or 'sentinel2_all'?"),
        ('RGB', ": did you mean 'rgb' or 'rgbn'?"),
        ('grd', ": did you mean 'sentinel1_grd'?"),
        ('hyperion', "; known: 'rgb', 'rgbn', 'sentinel1_grd', 'sentinel2_6', 'sentinel2_all'"),
        ('', "; known: 'rgb', 'rgbn', 'sentinel1_grd', 'sentinel2_6', 'sentinel2_all'"),
    ],
)
def test_did_you_mean(name: str, message: str) -> None:
    assert did_you_mean(name, SENSORS) == message


def test_long_lists_are_cut() -> None:
    text = did_you_mean('x', [f'sensor{i:02}' for i in range(20)])
    assert text.endswith("'sensor11', …")
    assert did_you_mean('x', []) == '; nothing is known'


def test_every_error_is_ours() -> None:
    for name in errors.__all__:
        error = getattr(errors, name)
        assert name == 'did_you_mean' or issubclass(error, GeoSANEError)
