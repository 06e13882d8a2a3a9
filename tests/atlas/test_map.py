import re
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from torchgeo_geosane.atlas import draw_map
from torchgeo_geosane.atlas.latents import CollectionLatents
from torchgeo_geosane.atlas.projection import project
from torchgeo_geosane.cli import main
from torchgeo_geosane.errors import GeoSANEError, SpecError


def test_pca_keeps_the_largest_variance(latents: CollectionLatents) -> None:
    places = project(latents, 'pca')
    known = torch.cat([latents.layers.latents, latents.windows.latents])
    largest = torch.linalg.svdvals(known - known.mean(0))[:2]
    drawn = torch.cat([places['layers'], places['windows']])
    torch.testing.assert_close(drawn.norm(dim=0), largest, rtol=1e-4, atol=1e-4)
    assert places['models'].shape == (6, 2)


def test_umap_names_its_extra(latents: CollectionLatents, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'umap', None)
    with pytest.raises(SpecError, match=r'torchgeo-geosane\[map\]'):
        project(latents, 'umap')


def test_picture_and_page(source: str, tiny_foundry: str, tmp_path: Path) -> None:
    drawn = draw_map(tmp_path, (source,), foundry=tiny_foundry, windows=3, nearest='waves/0')
    with Image.open(drawn.picture) as picture:
        assert picture.size[0] > 1000
    assert drawn.picture.stat().st_size < 200_000
    page = drawn.page.read_text()
    assert page.count('<circle') == 6 + 6 * 3 + 6 * 3
    assert '<title>waves/3: whole model</title>' in page
    assert not re.search(r'(?:src|href)=|https?://|@import', page)
    assert drawn.neighbours[0].name in {'waves/2', 'waves/4'}
    # Every point has a colour for every way of colouring.
    fills = re.findall(r'data-fills="([^"]+)"', page)
    assert {len(fill.split()) for fill in fills} == {3}
    assert len({fill.split()[1] for fill in fills}) == 2


def test_names_are_escaped(source: str, tiny_foundry: str, tmp_path: Path) -> None:
    named = tmp_path / '<i>.safetensors'
    named.write_bytes(Path(tiny_foundry).read_bytes())
    drawn = draw_map(tmp_path, (source,), foundry=str(named), windows=1)
    assert '<i>' not in drawn.page.read_text()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'sources': ()}, 'two models or more'),
        ({'nearest': 'waves/9'}, 'unknown model'),
        ({'foundry': 'nowhere'}, 'unknown foundry'),
        ({'windows': 0}, 'windows'),
    ],
)
def test_bad_input_writes_nothing(
    source: str, tiny_foundry: str, tmp_path: Path, options: dict[str, object], message: str
) -> None:
    given = {'sources': (source,), 'foundry': tiny_foundry, **options}
    with pytest.raises(GeoSANEError, match=message):
        draw_map(tmp_path / 'map', **given)
    assert not (tmp_path / 'map').exists()


def test_command_line(
    source: str, tiny_foundry: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / 'map.yaml'
    config.write_text(f'sources: [{source}]\nfoundry: {tiny_foundry}\nwindows: 2\n')
    arguments = ['foundry', 'map', '--config', str(config), '--output', str(tmp_path / 'map')]
    assert main([*arguments, '--nearest', 'waves/1']) == 0
    said = capsys.readouterr().out
    assert 'nearest to waves/1' in said
    assert (tmp_path / 'map' / 'map.html').exists()
    assert main([*arguments, '--nearest', 'waves/7']) == 2
