"""Units of gated layers (GLU, SwiGLU), one half of which opens and closes the other.

A unit is a row of each half. Tracing does not see where a layer of tokens is cut in two, so they are
found by the names of a layer's parts, and proven like every group.
"""

from collections.abc import Iterator

import torch
from torch import nn

from torchgeo_geosane.alignment.groups import Group, NamedLayer, Part, Use, span


def find_gated(model: nn.Module) -> Iterator[NamedLayer]:
    """Every pair of layers that seems to be gated: of the first come twice as many as go into the other."""
    for path, module in model.named_modules():
        shapes = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
        makes, takes = shapes.get('fc1.weight', ()), shapes.get('fc2.weight', ())
        if len(makes) < 2 or len(takes) < 2 or makes[0] != 2 * takes[1]:
            continue
        width = takes[1]
        halves = torch.stack([torch.arange(width), torch.arange(width, 2 * width)], dim=1)
        tensors = [('fc1.weight', halves), ('fc1.bias', halves)]
        tensors += [('norm.weight', span(width)), ('norm.bias', span(width))]
        prefix = f'{path}.' if path else ''
        uses = [
            Use(prefix + name, 0, places.numel(), places)
            for name, places in tensors
            if shapes.get(name, ())[:1] == (places.numel(),)
        ]
        uses.append(Use(f'{prefix}fc2.weight', 1, width, span(width)))
        group = Group(f'{prefix}fc1.weight', (Part(tuple(uses)),))
        yield NamedLayer(frozenset({(group.name, 0)}), (group,))
