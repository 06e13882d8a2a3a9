import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from torchgeo_geosane.errors import LocationError
from torchgeo_geosane.models import LocalInterpolation

SIDE = st.floats(-1, 1, allow_subnormal=False)
CELLS = st.integers(1, 5)


def made(channels: int = 3, width: int = 4) -> LocalInterpolation:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LocalInterpolation(channels, width).double()


def features(height: int, width: int, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    return torch.randn(1, channels, height, width, generator=generator, dtype=torch.float64)


def by_loops(module: LocalInterpolation, image: Tensor, x: float, y: float) -> list[float]:
    """The paper's equations, one cell after the other, for one point of one image."""
    channels, height, width = image.shape
    weight, bias = module.linear.weight.tolist(), module.linear.bias.tolist()
    predictions, areas = [], []
    for x_shift in (-1, 1):
        for y_shift in (-1, 1):
            # The nearest cell of the shifted point, inside the image.
            column = min(max(math.floor((x + x_shift / width + 1) / 2 * width), 0), width - 1)
            row = min(max(math.floor((y + y_shift / height + 1) / 2 * height), 0), height - 1)
            r_x = (x - ((2 * column + 1) / width - 1)) * width
            r_y = (y - ((2 * row + 1) / height - 1)) * height
            cell = []
            for channel in range(channels):
                for i in (-1, 0, 1):
                    for j in (-1, 0, 1):
                        inside = 0 <= row + i < height and 0 <= column + j < width
                        cell.append(float(image[channel, row + i, column + j]) if inside else 0.0)
            inputs = [*cell, r_x, r_y]
            predictions.append(
                [
                    sum(w * value for w, value in zip(line, inputs, strict=True)) + b
                    for line, b in zip(weight, bias, strict=True)
                ]
            )
            areas.append(abs(r_x * r_y) + 1e-12)
    total = sum(areas)
    # The opposite of the first is the last.
    return [
        sum(
            area / total * prediction[i]
            for area, prediction in zip(reversed(areas), predictions, strict=True)
        )
        for i in range(len(bias))
    ]


@given(height=CELLS, width=CELLS, x=SIDE, y=SIDE)
def test_as_the_equations_say(height: int, width: int, x: float, y: float) -> None:
    # On a centre's line the equations' own areas vanish two by two: their limit is tested below.
    at = [(side + 1) / 2 * cells - 0.5 for side, cells in ((x, width), (y, height))]
    if any(abs(a - round(a)) < 1e-4 for a in at):
        return
    module, image = made(), features(height, width)
    found = module(image, torch.tensor([[[x, y]]], dtype=torch.float64))[0, 0]
    expected = torch.tensor(by_loops(module, image[0], x, y), dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize('x', [-1.0, 1.0, -0.9999, 0.3])
@pytest.mark.parametrize('y', [-1.0, 1.0, 0.9999, -0.2])
def test_corners_and_borders(x: float, y: float) -> None:
    module, image = made(), features(3, 4)
    found = module(image, torch.tensor([[[x, y]]], dtype=torch.float64))[0, 0]
    expected = torch.tensor(by_loops(module, image[0], x, y), dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_at_a_centre_its_cell_alone_counts() -> None:
    module, image = made(), features(3, 3)
    at_centre = module(image, torch.tensor([[[0.0, 0.0]]], dtype=torch.float64))[0, 0]
    cell = torch.cat([image[0].flatten(), torch.zeros(2, dtype=torch.float64)])
    torch.testing.assert_close(at_centre, module.linear(cell), rtol=0, atol=1e-9)


@given(height=CELLS, width=CELLS, x=SIDE, y=SIDE, direction=st.floats(0, 2 * math.pi))
def test_continuous_everywhere(
    height: int, width: int, x: float, y: float, direction: float
) -> None:
    module, image = made(), features(height, width)
    step = 1e-7
    near = (
        min(max(x + step * math.cos(direction), -1), 1),
        min(max(y + step * math.sin(direction), -1), 1),
    )
    first, second = module(image, torch.tensor([[[x, y], near]], dtype=torch.float64))[0]
    assert (first - second).abs().max() < 1e-4


@given(height=CELLS, width=CELLS, x=SIDE, y=SIDE)
def test_weights_sum_to_one(height: int, width: int, x: float, y: float) -> None:
    module = made()
    with torch.no_grad():
        module.linear.weight.zero_()
        module.linear.bias.fill_(1)
    found = module(features(height, width), torch.tensor([[[x, y]]], dtype=torch.float64))
    torch.testing.assert_close(found, torch.ones_like(found))


def test_images_of_a_batch_are_apart_and_gradients_flow() -> None:
    module = made()
    images = torch.cat([features(3, 4), features(3, 4) * 2]).requires_grad_()
    points = torch.tensor([[[0.1, 0.2], [0.5, -0.5]]] * 2, dtype=torch.float64)
    found = module(images, points)
    assert found.shape == (2, 2, 4)
    torch.testing.assert_close(found[1], module(images[1:], points[1:])[0])
    found[0].sum().backward()
    assert images.grad is not None
    assert images.grad[0].any()
    assert not images.grad[1].any()


@pytest.mark.parametrize('point', [(1.01, 0.0), (0.0, -2.0), (math.nan, 0.0)])
def test_points_outside_are_named(point: tuple[float, float]) -> None:
    with pytest.raises(LocationError, match=r'1 of 1 points lie outside of their image'):
        made()(features(2, 2), torch.tensor([[point]], dtype=torch.float64))


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(LocationError, match=r'\[batch, n, 2\]'):
        made()(features(2, 2), torch.zeros(1, 2))
    with pytest.raises(LocationError, match='1 images, but points of 2'):
        made()(features(2, 2), torch.zeros(2, 1, 2))
