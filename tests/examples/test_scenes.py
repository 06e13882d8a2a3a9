"""The two scenes in the repository are what their README.md and the configs say."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from torchgeo_geosane.datamodules import ImageryDataModule
from torchgeo_geosane.sensors import get_sensor
from torchgeo_geosane.stem import band_mixture

ROOT = Path(__file__).parents[2]
CONFIGS = {
    'sentinel2_landuse': 'quickstart.yaml',
    'landsat7_landcover': 'compare/landsat7.yaml',
}


def datamodule(scene: str) -> ImageryDataModule:
    config = yaml.safe_load((ROOT / 'examples' / CONFIGS[scene]).read_text())
    data = config.get('fit', config)['data']
    assert data['class_path'] == 'torchgeo_geosane.datamodules.ImageryDataModule'
    return ImageryDataModule(**data['init_args'])


@pytest.mark.parametrize('scene', CONFIGS)
def test_files_are_those_of_the_readme(scene: str) -> None:
    folder = ROOT / 'examples' / 'data' / scene
    readme = (folder / 'README.md').read_text()
    sums = dict(reversed(line.split()) for line in re.findall(r'^[0-9a-f]{64}  \S+$', readme, re.M))
    assert set(sums) == {path.name for path in folder.iterdir()} - {'README.md'}
    for name, digest in sums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


@pytest.mark.parametrize('scene', CONFIGS)
def test_classes_have_as_many_pixels_as_the_readme_says(
    scene: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    data = datamodule(scene)
    data.setup('fit')
    data.setup('test')
    counts = []
    for part in (data.train_dataset.dataset, data.val_dataset, data.test_dataset):
        x, y, time = part.bounds
        counts.append(np.bincount(part[x, y, time]['mask'].flatten(), minlength=256))
    readme = (ROOT / 'examples' / 'data' / scene / 'README.md').read_text()
    for index, name in enumerate(data.val_dataset.classes):
        found = ' | '.join(f'{count[index]:,}' for count in counts)
        assert re.search(rf'^\| .*\b{index} {name} \|.* {re.escape(found)} \|$', readme, re.M), name


def test_the_packaged_prompts_stem_serves_landsat_as_it_is() -> None:
    """Sensor ``sentinel2_6`` has its colours in its order, ``landsat_etm_toa`` its band names."""
    prompt = get_sensor('sentinel2_6').bands
    own = get_sensor('landsat_etm_toa[B1,B2,B3,B4,B5,B7]').bands
    mixture = band_mixture(prompt, own)
    assert mixture.argmax(1).tolist() == list(range(6))
    assert mixture.diagonal().min() > 0.9
    for here, there in zip(own, prompt, strict=True):
        assert abs(here.wavelength - there.wavelength) < 40
