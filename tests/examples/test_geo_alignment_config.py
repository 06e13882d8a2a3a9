"""The example of alignment runs on a miniature world, from the weights that it names."""

from pathlib import Path

import pytest
import torch
import yaml
from rasters import write_miniature

from torchgeo_geosane.cli import main
from torchgeo_geosane.cli.trainer import GeoSANECLI
from torchgeo_geosane.generate import generate
from torchgeo_geosane.providers.catalog import find_spec

EXAMPLE = Path(__file__).parents[2] / 'examples' / 'geo_alignment.yaml'


def test_it_starts_from_generated_weights_and_learns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = tmp_path / 'world'
    world.mkdir()
    write_miniature('geo_photos', world)
    starts = []

    def before_fit(cli: GeoSANECLI) -> None:
        model = cli.model.satellite.model
        starts.append((cli, {name: t.clone() for name, t in model.state_dict().items()}))

    monkeypatch.setattr(GeoSANECLI, 'before_fit', before_fit, raising=False)
    options = [
        f'--data.init_args.images.sentinel2_4={world / "scene.tif"}',
        f'--data.init_args.photos={world / "photos.csv"}',
        *('--data.init_args.size=64', '--data.init_args.batch_size=4', '--trainer.max_epochs=1'),
        *('--trainer.limit_train_batches=2', '--trainer.accelerator=cpu'),
        f'--trainer.logger.init_args.save_dir={tmp_path / "output"}',
        '--trainer.enable_progress_bar=false',
    ]
    assert main(['fit', f'--config={EXAMPLE}', *options]) == 0
    ((cli, start),) = starts
    name = yaml.safe_load(EXAMPLE.read_text())['model']['init_args']['satellite']
    generated = generate(find_spec(name)).tensors
    matrices = [key for key, tensor in generated.items() if tensor.ndim > 1 and key in start]
    assert len(matrices) > 100
    assert all(torch.equal(start[key], generated[key]) for key in matrices)
    after = cli.model.satellite.model.state_dict()
    assert not torch.equal(after['conv_stem.weight'], start['conv_stem.weight'])
    assert list((tmp_path / 'output').rglob('best.ckpt'))
