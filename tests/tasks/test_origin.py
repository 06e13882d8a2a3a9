from types import SimpleNamespace
from typing import Any

from torchgeo_geosane.providers.catalog import find_spec
from torchgeo_geosane.tasks.origin import spec_of


def test_a_url_too_long_for_a_path_is_a_url() -> None:
    url = 'geosane://resnet18?sensor=rgb' + '&prompt=random' * 400
    task: Any = SimpleNamespace(weights=url, hparams={})
    assert spec_of(task) == find_spec(url)
