"""Alignment: the units of one network in another's order. Other weights, the same function.

Networks that were trained apart keep their hidden units in different orders; until these are alike,
their average is broken, and their tokens are noise to a foundry. What may move is found by tracing
and proven by running the network (``find_groups`` of an architecture, ``groups_of_module``,
``groups_of_ncnn`` and ``groups_of_tflite`` of a file), or told from names and shapes (``groups_of`` a
state dict); the order is found by weight matching (``align``); the aligned network is a view
(``Alignment.view``)::

    groups = find_groups('resnet50')
    found = align(source, reference, groups)  # two TensorSources
    found.moved, found.before, found.after, found.chance
    aligned = found.view(source)  # a TensorSource

Networks finetuned from one start are in one order already: nothing of them moves. ``similarity``
compares two networks as they are; ``chance`` is what a network of noise comes to, once aligned.
``recall`` and ``recall_chance`` keep both in the cache by fingerprints, ``to_text`` and ``from_text``
an alignment in a manifest. ``RandomPlaces`` with ``PermutedSource`` draws a random order, for a
second view while training.
"""

from torchgeo_geosane.alignment.align import Alignment, align, similarity, similarity_by_chance
from torchgeo_geosane.alignment.find import (
    find_groups,
    groups_of,
    groups_of_module,
    groups_of_ncnn,
    groups_of_tflite,
)
from torchgeo_geosane.alignment.groups import Axis, Group, Groups, Places
from torchgeo_geosane.alignment.stored import (
    from_bytes,
    from_text,
    recall,
    recall_chance,
    to_bytes,
    to_text,
)
from torchgeo_geosane.alignment.trace import OUTPUT
from torchgeo_geosane.alignment.view import PermutedSource, RandomPlaces

__all__ = [
    'OUTPUT',
    'Alignment',
    'Axis',
    'Group',
    'Groups',
    'PermutedSource',
    'Places',
    'RandomPlaces',
    'align',
    'find_groups',
    'from_bytes',
    'from_text',
    'groups_of',
    'groups_of_module',
    'groups_of_ncnn',
    'groups_of_tflite',
    'recall',
    'recall_chance',
    'similarity',
    'similarity_by_chance',
    'to_bytes',
    'to_text',
]
