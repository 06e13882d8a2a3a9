"""The example of a map, with a checkpoint that nobody trained, on the miniature of its scene."""

from pathlib import Path

import pytest
import rasterio
import torch
import yaml
from torchgeo.trainers import SemanticSegmentationTask

from torchgeo_geosane import cli

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / 'examples' / 'predict_scene.yaml'


def write_checkpoint(path: Path) -> None:
    """What the quickstart would write, its encoder random."""
    fit = yaml.safe_load((ROOT / 'examples' / 'quickstart.yaml').read_text())
    task = SemanticSegmentationTask(**{**fit['model']['init_args'], 'weights': None})
    bands = [f'B{number}' for number in range(1, 9)] + ['B8A', 'B9', 'B10', 'B11', 'B12']
    data = fit['data']['init_args']
    kept = {'bands': bands, 'classes': data['classes'], 'mean': [1000.0] * 13, 'std': [500.0] * 13}
    torch.save({'state_dict': task.state_dict(), 'ImageryDataModule': kept}, path)


def test_the_example_makes_map_picture_and_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = yaml.safe_load(EXAMPLE.read_text())
    options['config'] = str(ROOT / options['config'])
    options['scene'] = str(ROOT / 'tests' / 'data' / 'sentinel2_landuse')
    options['ckpt_path'] = str(tmp_path / 'best.ckpt')
    for key in ('out', 'preview', 'page'):
        options[key] = str(tmp_path / Path(options[key]).name)
    (tmp_path / 'options.yaml').write_text(yaml.safe_dump(options))
    write_checkpoint(tmp_path / 'best.ckpt')
    assert cli.main(['predict', '--options', str(tmp_path / 'options.yaml')]) == 0
    assert 'map.tif: farm ' in capsys.readouterr().out
    with rasterio.open(tmp_path / 'map.tif') as file:
        assert file.tags()['GEOSANE_WEIGHTS'].startswith('geosane://')
        assert file.tags(1)['class_6'] == 'water'
    assert (tmp_path / 'map.png').exists()
    assert (tmp_path / 'map.html').exists()
