from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from torchgeo_geosane.callbacks.examples import Examples
from torchgeo_geosane.errors import DataError


def examples(label: Tensor, classes: int = 0, ignored: int | None = None) -> Examples:
    return Examples([torch.zeros(len(label), 1, 8, 8)], [label], classes, ignored, False)


def test_a_cell_holds_the_fractions_of_its_classes() -> None:
    mask = torch.zeros(1, 8, 8, dtype=torch.long)
    mask[:, :4, :2], mask[:, 4:], mask[:, 4:, 6:] = 1, 2, 255
    targets, known = examples(mask, classes=3, ignored=255).targets(2, 2)
    expected = [[[0.5, 0.5, 0], [1, 0, 0]], [[0, 0, 1], [0, 0, 1]]]
    torch.testing.assert_close(targets[0], torch.tensor(expected))
    assert known.all()


def test_cells_without_labels_are_not_known() -> None:
    mask = torch.full((2, 1, 8, 8), 255)
    mask[0, :, :4] = 1
    targets, known = examples(mask, classes=2, ignored=255).targets(2, 1)
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


def test_batches_without_labels_are_refused() -> None:
    task: Any = SimpleNamespace(hparams={})
    with pytest.raises(DataError, match='no "mask" to probe for, only: image, label'):
        Examples.draw(task, 'mask', [{'image': torch.zeros(4, 1, 8, 8), 'label': 0}])
