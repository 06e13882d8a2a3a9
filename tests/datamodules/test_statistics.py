import runpy
from pathlib import Path

import pytest
import torch
from rasters import Miniature

from torchgeo_geosane.datamodules import Sen1Floods11DataModule
from torchgeo_geosane.datamodules.statistics import band_statistics
from torchgeo_geosane.errors import DataError

BENCHMARKS = Path(__file__).parents[2] / 'benchmarks'


def test_as_of_all_pixels_at_once_without_those_that_have_no_data() -> None:
    generator = torch.Generator().manual_seed(0)
    images = [
        1e4 + torch.randn(2, size, size + 1, generator=generator) * torch.tensor([[[1.0]], [[30]]])
        for size in (3, 1, 17)
    ]
    images[0][:] = torch.nan
    images[2][1, :5] = torch.nan
    mean, std = band_statistics(images)
    for band in range(2):
        values = torch.cat([image[band].flatten() for image in images]).double()
        values = values[~values.isnan()]
        torch.testing.assert_close(mean[band], values.mean())
        torch.testing.assert_close(std[band], values.std(correction=0))


@pytest.mark.parametrize('images', [[], [torch.full((2, 3, 3), torch.nan)]])
def test_a_band_without_data_has_no_statistics(images: list[torch.Tensor]) -> None:
    with pytest.raises(DataError, match='have no data in any image'):
        band_statistics(images)


def test_the_script_prints_what_a_data_module_states(
    miniature: Miniature, capsys: pytest.CaptureFixture[str]
) -> None:
    script = runpy.run_path(str(BENCHMARKS / 'band_statistics.py'))
    root = miniature('sen1floods11')
    script['main'](['Sen1Floods11', str(root), '--bands', 'B10', 'VH'])
    mean, std = Sen1Floods11DataModule(root, ['B10', 'VH']).statistics()
    assert capsys.readouterr().out.splitlines() == [
        f"'B10': BandScale({mean[0]:.6g}, {std[0]:.6g}),",
        f"'VH': BandScale({mean[1]:.6g}, {std[1]:.6g}, limits=(-50.0, 1.0)),",
    ]
    with pytest.raises(SystemExit):
        script['main'](['Sen1Flood', str(root)])
    assert "did you mean 'Sen1Floods11'" in capsys.readouterr().err
