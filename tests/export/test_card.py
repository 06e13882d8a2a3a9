from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from specs import MakeSpec

from torchgeo_geosane.candidate import Generated
from torchgeo_geosane.export import export
from torchgeo_geosane.export.card import model_card
from torchgeo_geosane.generate import generate
from torchgeo_geosane.provenance import PromptRecord
from torchgeo_geosane.sensors import get_sensor
from torchgeo_geosane.spec import Spec

RESNET = 'https://huggingface.co/timm/resnet50.a1_in1k'
MOCO = 'https://hf.co/torchgeo/resnet50_sentinel2_all_moco/resolve/1d/resnet50.pth'


def prompted(generated: Generated, *prompts: tuple[str, str]) -> Generated:
    """The same weights, from prompts of other sources and licences."""
    records = tuple(
        PromptRecord(f'prompt{number}', source, licence, 'sha256:0', 'rgb', ('R', 'G', 'B'))
        for number, (source, licence) in enumerate(prompts)
    )
    return replace(generated, provenance=replace(generated.provenance, prompts=records))


def test_the_hubs_client_reads_it(generated: Generated, tmp_path: Path) -> None:
    export(generated, tmp_path / 'w')
    data = ModelCard.load(tmp_path / 'w' / 'README.md').data.to_dict()
    assert data == {
        'library_name': 'timm',
        'license': 'other',
        'license_name': 'of-foundry-and-prompt',
        'pipeline_tag': 'image-feature-extraction',
        'tags': [
            *('timm', 'torchgeo', 'geosane', 'remote-sensing', 'earth-observation'),
            'sentinel2_6',
        ],
    }


@pytest.mark.parametrize(
    ('prompts', 'licence', 'base'),
    [
        ([(RESNET, 'MIT')], 'mit', ['timm/resnet50.a1_in1k']),
        (
            [(RESNET, 'MIT'), (MOCO, 'MIT')],
            'mit',
            ['timm/resnet50.a1_in1k', 'torchgeo/resnet50_sentinel2_all_moco'],
        ),
        ([(RESNET, 'apache-2.0')], 'other', ['timm/resnet50.a1_in1k']),
        ([('a file: [mine] # & "yours"', 'unknown (see: there)')], 'other', None),
    ],
)
def test_licence_and_base_model(
    prompts: list[tuple[str, str]], licence: str, base: list[str] | None, generated: Generated
) -> None:
    text = model_card(prompted(generated, *prompts))
    card = ModelCard(text)
    assert card.data.license == licence
    assert card.data.base_model == base
    for source, stated in prompts:
        assert source in card.text
        assert stated in card.text


def test_it_says_where_the_weights_come_from(efficientnet: Spec) -> None:
    generated = generate(efficientnet)
    text = model_card(generated)
    provenance = generated.provenance
    for part in (
        '# tf_efficientnet_b4 for `sentinel2_all`, generated',
        '`sentinel2_all` (Sentinel-2 L1C, all 13 bands)',
        '| 8 | `B8A` | narrow near infrared | 864.7 | TOA reflectance x 10000 | 2581 | 1345.9 |',
        'The stem, `conv_stem.weight`, was generated for B2, B3, B4, B8, B11, B12 and then rebuilt',
        f'(MIT; sha256 `{provenance.foundry_fingerprint}`)',
        'prompt: `ukis:6b_l1c`, from ukis-csmask 1.0.0 (PyPI)',
        f'generate "{efficientnet.url}" --out',
        f'`{provenance.key}`',
        'Their licences: MIT, Apache-2.0.',
        'in_channels: 13,',
    ):
        assert part in text
    assert ModelCard(text).data.license == 'other'


def test_coverage_in_numbers(make_spec: MakeSpec) -> None:
    generated = generate(make_spec())
    rows = [
        [cell.strip() for cell in line.split('|')[1:-1]]
        for line in model_card(generated).splitlines()
        if line.startswith(('| generated', '| prompt'))
    ]
    assert [row[0] for row in rows] == ['generated', 'prompt']
    assert [int(row[2]) for row in rows] == [45, 45]
    values = [int(row[3].replace(',', '')) for row in rows]
    assert sum(values) == sum(tensor.numel() for tensor in generated.tensors.values())
    assert sum(float(row[4].rstrip('%')) for row in rows) == pytest.approx(100, abs=0.02)
    assert 'was not adapted' in model_card(generated)


@pytest.mark.parametrize('sensor', ['sentinel2_all[B8A,B4]', 'sentinel2_all[B8A,B4]*2'])
def test_bands_of_ones_own(sensor: str, make_spec: MakeSpec, tmp_path: Path) -> None:
    export(generate(make_spec(sensor=sensor)), tmp_path / 'w')
    card = ModelCard.load(tmp_path / 'w' / 'README.md')
    assert card.data.tags[-1] == 'sentinel2_all'
    rows = [line for line in card.text.splitlines() if '| `B' in line]
    assert [row.split('`')[1] for row in rows] == ['B8A', 'B4'] * (len(rows) // 2)
    assert len(rows) == get_sensor(sensor).in_chans
