"""The examples of an ensemble and of its student run on a miniature of the scene, one after the other."""

import runpy
from pathlib import Path

import pytest
import rasterio
import torch
import yaml
from miniatures import write_land_use
from torch import Tensor

from torchgeo_geosane.cli import main
from torchgeo_geosane.cli.trainer import GeoSANECLI
from torchgeo_geosane.generate import generate
from torchgeo_geosane.predict.finetuned import load_task
from torchgeo_geosane.providers.catalog import find_spec
from torchgeo_geosane.providers.ensemble import EnsembleSpec

EXAMPLES = Path(__file__).parents[2] / 'examples'
ENSEMBLE, DISTIL = EXAMPLES / 'ensemble.yaml', EXAMPLES / 'distil.yaml'
OPTIONS = [
    '--data.init_args.images.sentinel2_all=scene',
    '--data.init_args.labels=scene/landuse.gpkg',
    *('--data.init_args.patch_size=32', '--data.init_args.length=4'),
    *('--data.init_args.batch_size=2', '--trainer.max_epochs=1', '--trainer.accelerator=cpu'),
    '--trainer.enable_progress_bar=false',
]

Started = list[tuple[GeoSANECLI, dict[str, Tensor]]]


@pytest.fixture
def fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Started:
    """The fits, each with its state before training, in a folder that has the scene."""
    found: Started = []

    def before_fit(cli: GeoSANECLI) -> None:
        state = {name: tensor.clone() for name, tensor in cli.model.state_dict().items()}
        found.append((cli, state))

    monkeypatch.setattr(GeoSANECLI, 'before_fit', before_fit, raising=False)
    monkeypatch.chdir(tmp_path)
    write_land_use(tmp_path / 'scene')
    return found


def assert_members_stay(cli: GeoSANECLI, start: dict[str, Tensor]) -> None:
    after = cli.model.state_dict()
    spec = EnsembleSpec.parse(read(ENSEMBLE)['backbone'])
    for at, member in enumerate(spec.members):
        generated = generate(member).tensors
        held = {key: t for key, t in start.items() if f'.members.{at}.' in key}
        stem = next(t for key, t in held.items() if key.endswith('conv_stem.weight'))
        assert torch.equal(stem, generated['conv_stem.weight'])
        assert all(torch.equal(after[key], tensor) for key, tensor in held.items())
    decoder = [key for key in start if '.decoder.' in key and key.endswith('weight')]
    assert any(not torch.equal(after[key], start[key]) for key in decoder)


def read(example: Path) -> dict[str, object]:
    return yaml.safe_load(example.read_text())['model']['init_args']


def test_an_ensemble_then_a_student_then_a_map(fits: Started) -> None:
    assert main(['fit', f'--config={ENSEMBLE}', *OPTIONS]) == 0
    assert_members_stay(*fits[0])
    runpy.run_path(str(EXAMPLES / 'compare' / 'small_prompt.py'))['main']()
    assert main(['fit', f'--config={DISTIL}', *OPTIONS]) == 0
    _, start = fits[1]
    stem = generate(find_spec(str(read(DISTIL)['weights']))).tensors['conv_stem.weight']
    assert torch.equal(start['model.encoder.conv_stem.weight'], stem)
    assert sum(t.numel() for t in start.values()) < sum(t.numel() for t in fits[0][1].values()) / 5
    # Its teacher is what the first fit wrote.
    (teacher,) = Path('output/ensemble').rglob('best.ckpt')
    assert str(teacher) in DISTIL.read_text()
    before = load_task(teacher).state_dict()
    assert all(torch.equal(before[key], t) for key, t in fits[0][0].model.state_dict().items())
    for name in ('ensemble', 'distil'):
        (checkpoint,) = Path('output', name).rglob('best.ckpt')
        command = ['predict', '--ckpt_path', str(checkpoint), '--scene', 'scene']
        assert main([*command, '--out', f'{name}.tif']) == 0
        with rasterio.open(f'{name}.tif') as file:
            weights = file.tags()['GEOSANE_WEIGHTS']
        assert weights.startswith(
            {'ensemble': 'tu-geosane_ensemble.', 'distil': 'geosane://'}[name]
        )
