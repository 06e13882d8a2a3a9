"""The benchmark of the zoo on a handful of networks: everything is made, found again, and reported."""

import csv
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / 'benchmarks'))

import zoo
import zoo_codes
import zoo_few_labels
import zoo_networks
import zoo_properties
import zoo_report
from zoo_material import Plan, norms_of, unit_rows, with_norms

from torchgeo_geosane.foundry.source import StateDictSource
from torchgeo_geosane.foundry.tokens import TokenReader, TokenWriter

PLAN = Plan(trainings=8, test=3, checkpoints=(5, 20), held_out=0.3)


@pytest.fixture(scope='module')
def made(tmp_path_factory: pytest.TempPathFactory) -> zoo.Zoo:
    return zoo.prepare(tmp_path_factory.mktemp('zoo'), PLAN)


def test_a_stack_computes_what_its_networks_compute() -> None:
    for make in zoo_networks.ARCHITECTURES:
        stack = zoo_networks.initialise(make, range(3))
        images = torch.randn(5, 6, 8, 8)
        said = zoo_networks.logits(stack, images)
        for number, state in enumerate(zoo_networks.unstack(stack)):
            network = make().eval()
            network.load_state_dict(state)
            torch.testing.assert_close(said[number], network(images), rtol=1e-4, atol=1e-5)


def test_what_is_made_is_found_again(made: zoo.Zoo) -> None:
    files = {path: path.stat().st_mtime_ns for path in made.folder.rglob('*.safetensors')}
    again = zoo.prepare(made.folder, PLAN)
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert torch.equal(again.aligned.trained, made.aligned.trained)
    assert len(made.aligned.test) == 3
    assert len(made.aligned.checkpoints) == 6
    assert len(made.aligned.members) == len(made.aligned.trained)
    assert not torch.equal(made.aligned.test, made.unaligned.test)


def test_aligned_networks_compute_the_same(made: zoo.Zoo) -> None:
    accuracies = [each.accuracy(each.test) for each in (made.aligned, made.unaligned)]
    assert torch.equal(*accuracies)


def test_rows_are_scaled_as_generation_scales_them(made: zoo.Zoo) -> None:
    material = made.aligned
    states = list(zoo_networks.unstack(material.networks(material.test[:2])))
    readers = [TokenReader(StateDictSource(state), material.layout, 'rms') for state in states]
    count = len(material.layout)
    read = torch.stack([reader.read(0, count) for reader in readers])
    assert torch.allclose(unit_rows(material.layout, material.test[:2]), read, atol=1e-5)
    writer = TokenWriter(states[0], material.layout)
    for segment in material.layout.segments:
        writer.scale_rows(segment, readers, [0.0, 1.0])
    norms = norms_of(material.layout, material.test[1:2])
    scaled = with_norms(material.layout, material.test[:1], norms)
    written = TokenReader(StateDictSource(states[0]), material.layout).read(0, count)
    assert torch.allclose(scaled[0], written, atol=1e-5)
    assert not torch.allclose(scaled[0], material.test[0], atol=1e-2)


def test_from_codes_to_the_report(
    made: zoo.Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoo_properties, '_STEPS', 10)
    tables = tmp_path / 'tables'
    rows = zoo.stored(tables / 'codes.csv', lambda: zoo._code_rows(made, (12,), 2))
    errors = {(row['code'], row['aligned']): float(row['error']) for row in rows}
    assert errors['original', 'True'] == 0
    assert errors['white noise of 0.3', 'True'] == pytest.approx(0.3, rel=1e-3)
    assert errors['foundry', 'True'] == pytest.approx(errors['linear, by place', 'True'], rel=0.05)
    loaded = zoo.find_foundry(made, 12, True, steps=2)
    function = loaded.foundry.known[0].record.function
    assert function is not None
    assert function.decoded == pytest.approx(
        next(float(row['accuracy']) for row in rows if row['code'] == 'foundry'), abs=1e-3
    )
    drawn = zoo_codes.draw(loaded, 2, 0.5)
    assert not torch.equal(drawn[0], drawn[1])

    few = zoo.stored(tables / 'few.csv', lambda: zoo._few_label_rows(made, loaded, 2))
    told = zoo.stored(tables / 'told.csv', lambda: zoo._property_rows(made, loaded))
    zoo_report.write(tmp_path, rows, few, told, [PLAN])
    text = (tmp_path / 'zoo.md').read_text()
    assert text.startswith('![Codes of the zoo]')
    assert 'ensemble of 8 members' in text
    with (tmp_path / 'zoo_few_labels.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert {row['step'] for row in rows} == {'0', '10', '50'}
    values = {(row['start'], row['rate'], row['step']): float(row['mean']) for row in rows}
    rates = {row['rate'] for row in rows} - {'best'}
    assert values['scratch', 'best', '10'] == max(values['scratch', r, '10'] for r in rates)


def test_few_labels_are_of_four_classes() -> None:
    labels = zoo_few_labels.Labels.draw(3)
    assert labels.known.images.shape == (3, 20, 6, 8, 8)
    assert set(labels.test.labels.tolist()) == set(zoo_few_labels.CLASSES)


def test_properties_are_told_of_what_was_not_seen() -> None:
    generator = torch.Generator().manual_seed(0)
    learned, asked = (torch.randn(n, 5, generator=generator) for n in (200, 50))
    for regress in (zoo_properties._ridge, zoo_properties._networks):
        told = regress(learned, learned[:, :2], asked)
        assert (told - asked[:, :2]).square().mean() < 0.2
