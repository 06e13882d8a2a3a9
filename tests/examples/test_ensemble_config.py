"""The example of an ensemble runs on a miniature of the scene, from the weights that it names."""

from pathlib import Path

import pytest
import torch
import yaml
from miniatures import write_land_use

from torchgeo_geosane.cli import main
from torchgeo_geosane.cli.trainer import GeoSANECLI
from torchgeo_geosane.generate import generate
from torchgeo_geosane.providers.ensemble import EnsembleSpec

EXAMPLE = Path(__file__).parents[2] / 'examples' / 'ensemble.yaml'


def test_members_are_generated_and_stay_while_the_rest_learns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = tmp_path / 'scene'
    write_land_use(scene)
    found = []

    def before_fit(cli: GeoSANECLI) -> None:
        state = {name: tensor.clone() for name, tensor in cli.model.state_dict().items()}
        found.append((cli, state))

    monkeypatch.setattr(GeoSANECLI, 'before_fit', before_fit, raising=False)
    options = [
        f'--data.init_args.images.sentinel2_all={scene}',
        f'--data.init_args.labels={scene / "landuse.gpkg"}',
        *('--data.init_args.patch_size=32', '--data.init_args.length=4'),
        *('--data.init_args.batch_size=2', '--trainer.max_epochs=1', '--trainer.accelerator=cpu'),
        f'--trainer.logger.init_args.save_dir={tmp_path / "output"}',
        '--trainer.enable_progress_bar=false',
    ]
    assert main(['fit', f'--config={EXAMPLE}', *options]) == 0
    ((cli, start),) = found
    after = cli.model.state_dict()
    spec = EnsembleSpec.parse(yaml.safe_load(EXAMPLE.read_text())['model']['init_args']['backbone'])
    for at, member in enumerate(spec.members):
        generated = generate(member).tensors
        held = {key: t for key, t in start.items() if f'.members.{at}.' in key}
        stem = next(t for key, t in held.items() if key.endswith('conv_stem.weight'))
        assert torch.equal(stem, generated['conv_stem.weight'])
        assert all(torch.equal(after[key], tensor) for key, tensor in held.items())
    decoder = [key for key in start if '.decoder.' in key and key.endswith('weight')]
    assert any(not torch.equal(after[key], start[key]) for key in decoder)
