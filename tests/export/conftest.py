"""Generated weights to export."""

import pytest
from specs import MakeSpec

from torchgeo_geosane.candidate import Generated
from torchgeo_geosane.generate import generate


@pytest.fixture
def generated(make_spec: MakeSpec) -> Generated:
    return generate(make_spec())
