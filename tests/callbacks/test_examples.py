from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from torchgeo_geosane.callbacks.backbone import _at
from torchgeo_geosane.callbacks.examples import Examples
from torchgeo_geosane.errors import DataError


def examples(label: Tensor, classes: int = 0, ignored: int | None = None) -> Examples:
    return Examples([torch.zeros(len(label), 1, 8, 8)], [label], classes, ignored, False)


def test_a_cell_holds_the_fractions_of_its_classes() -> None:
    mask = torch.zeros(1, 8, 8, dtype=torch.long)
    mask[:, :4, :2], mask[:, 4:], mask[:, 4:, 6:] = 1, 2, 255
    targets, known = examples(mask, classes=3, ignored=255).cells(2, 2)
    expected = [[[0.5, 0.5, 0], [1, 0, 0]], [[0, 0, 1], [0, 0, 1]]]
    torch.testing.assert_close(targets[0], torch.tensor(expected))
    assert known.all()


def test_cells_without_labels_are_not_known() -> None:
    mask = torch.full((2, 1, 8, 8), 255)
    mask[0, :, :4] = 1
    targets, known = examples(mask, classes=2, ignored=255).cells(2, 1)
    assert known.tolist() == [[[True], [False]], [[False], [False]]]
    assert targets.isfinite().all()


def test_heights_are_averaged_and_gaps_left_out() -> None:
    mask = torch.arange(64.0).reshape(1, 8, 8)
    mask[:, 0, 0] = torch.nan
    targets, known = examples(mask).targets(1, 1)
    assert targets.item() == pytest.approx(32)
    assert known.item()


@pytest.mark.parametrize(
    ('label', 'classes', 'expected'),
    [
        (torch.tensor([1, 0]), 3, [[0, 1, 0], [1, 0, 0]]),
        (torch.tensor([1.5, -2.0]), 0, [[1.5], [-2]]),
        (torch.tensor([[1, 0], [1, 1]]), 0, [[1, 0], [1, 1]]),
    ],
)
def test_labels_of_whole_images(label: Tensor, classes: int, expected: Any) -> None:
    targets, known = examples(label, classes).targets(1, 1)
    assert targets[:, 0, 0].tolist() == expected
    assert known.all()


def test_an_unlabelled_image_is_not_known() -> None:
    _, known = examples(torch.tensor([0, -1, 7]), classes=2).targets(1, 1)
    assert known.flatten().tolist() == [True, False, False]


@pytest.mark.parametrize(
    ('label', 'classes', 'measure'),
    [
        (torch.zeros(1, 8, 8).long(), 2, 'balanced accuracy'),
        (torch.zeros(1, 8, 8), 0, 'R2'),
        (torch.zeros(1).long(), 2, 'balanced accuracy'),
    ],
)
def test_only_masks_of_classes_have_points(label: Tensor, classes: int, measure: str) -> None:
    drawn = examples(label, classes)
    assert drawn.measure == measure
    assert (drawn.points is not None) == (label.ndim > 1 and classes > 0)


def test_batches_without_labels_are_refused() -> None:
    task: Any = SimpleNamespace(hparams={})
    with pytest.raises(DataError, match='no "mask" to probe for, only: image, label'):
        Examples.draw(task, 'mask', [{'image': torch.zeros(4, 1, 8, 8), 'label': 0}])


def test_points_are_labelled_pixels_and_classes_equally_many() -> None:
    """A class of few pixels is drawn as often as the others; what is ignored never is."""
    mask = torch.zeros(41, 8, 8, dtype=torch.long)
    mask[:, 0, :2], mask[:, 4:] = 1, 255
    mask[40] = 255
    drawn = examples(mask, classes=2, ignored=255)
    assert drawn.points is not None
    targets, known = drawn.targets(1, 1)
    assert targets.shape == (41, 32, 1, 2)
    assert known[:, 0, 0].tolist() == [True] * 40 + [False]
    assert targets[:40].mean((0, 1, 2)).tolist() == pytest.approx([0.5, 0.5], abs=0.05)
    (place,) = drawn.points.places
    column, row = ((place[0] + 1) * 4).floor().long().unbind(-1)
    assert torch.equal(mask[0, row, column], targets[0, :, 0].argmax(-1))


def test_features_of_a_point_are_those_of_its_pixel() -> None:
    mask = torch.randint(3, (1, 8, 8), generator=torch.Generator().manual_seed(0))
    points = examples(mask, classes=3).points
    assert points is not None
    planes = torch.nn.functional.one_hot(mask, 3).permute(0, 3, 1, 2).float()
    assert torch.allclose(
        _at([planes], points.places[0])[0, :, 0], points.targets[0, :, 0], atol=1e-5
    )
