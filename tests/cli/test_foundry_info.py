"""``foundry info``: what a foundry knows; of architectures, see tests/training/test_known_architectures.py."""

from pathlib import Path

import pytest
import torch

from torchgeo_geosane.cli import main
from torchgeo_geosane.cli.foundry_info import describe
from torchgeo_geosane.errors import FoundryError
from torchgeo_geosane.foundry import checkpoint
from torchgeo_geosane.foundry.autoencoder import WeightAutoencoder
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.foundry.known import FunctionKept, Known, Record

CONFIG = FoundryConfig(d_model=16, nhead=2, num_layers=1, latent_dim=3, token_size=6)


def test_the_embedded_foundry(capsys: pytest.CaptureFixture[str]) -> None:
    main(['foundry', 'info', 'embedded'])
    told = capsys.readouterr().out
    assert '231,490 parameters' in told
    row = next(line for line in told.splitlines() if line.startswith('LRASPP'))
    assert row.split()[3:8] == ['4', '1', '1', '0.000', '0.000']
    assert row.endswith('hakai-segmentation/mussel_presence (not kept)')
    assert 'MobileNetV2 cannot be drawn without a prompt: of 1 lineage nothing tells' in told
    # Networks that differ in their stems alone are told once why.
    assert told.count('U-Net, EfficientNet-B4 encoder cannot be drawn') == 1


def test_an_architecture(tmp_path: Path) -> None:
    record = Record(
        'small',
        {'a.weight': (4, 5)},
        trained=5,
        held_out=1,
        lineages=2,
        error=0.25,
        reference='folder/x',
        function=FunctionKept('accuracy', 0.7, 0.65, 0.6),
        draws_not='of 2 lineages nothing tells what varies',
    )
    reference = {'a.weight': torch.zeros(4, 5)}
    path = tmp_path / 'foundry.safetensors'
    checkpoint.save(
        path, WeightAutoencoder(CONFIG), {}, known=[Known.of(record, CONFIG, reference=reference)]
    )
    told = describe(str(path))
    assert 'accuracy: 0.650 of 0.700, drawn 0.600' in told
    assert 'small cannot be drawn without a prompt: of 2 lineages nothing tells' in told
    row = next(line for line in told.splitlines() if line.startswith('small '))
    assert row.split()[:6] == ['small', '5', '1', '2', '0.250', '–']
    assert row.endswith('folder/x')


def test_a_foundry_that_says_nothing_of_its_training(tmp_path: Path) -> None:
    checkpoint.save_official(tmp_path, WeightAutoencoder(CONFIG))
    told = describe(str(tmp_path))
    assert '3 numbers for a token of 6' in told
    assert told.endswith('it draws around prompts alone.')


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FoundryError, match='unknown foundry'):
        describe('nowhere')
    checkpoint.save(tmp_path / 'f', WeightAutoencoder(CONFIG), {'reconstruction': '["a"]'})
    with pytest.raises(FoundryError, match='what the foundry says of its errors cannot be read'):
        describe(str(tmp_path / 'f'))
