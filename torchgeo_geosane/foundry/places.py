"""Codes of places: the tokens of one architecture in the principal components of their place.

Networks that are aligned resemble each other place by place, and in other directions at every place.
About the mean of its place, and turned into the place's own principal components, a token's first
numbers tell most of it, whatever the place: an autoencoder that keeps those, the same for all, is the
best linear code of every place.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PlaceCode:
    """Means and rotations of the places of a token sequence.

    Attributes:
        mean: Mean token of every place, float32 ``[n, token_size]``.
        rotation: Its principal components in columns, those of the largest variance first; padding
            stays where it is: float32 ``[n, token_size, token_size]``, each orthogonal.
    """

    mean: Tensor
    rotation: Tensor

    def encode(self, tokens: Tensor, start: int) -> Tensor:
        """Tokens ``[n, token_size]`` that begin at place ``start``, in their places' components."""
        places = slice(start, start + len(tokens))
        return _turn(tokens - self.mean[places], self.rotation[places])

    def decode(self, tokens: Tensor, start: int) -> Tensor:
        """What :meth:`encode` was given, for tokens ``[..., n, token_size]``."""
        places = slice(start, start + tokens.shape[-2])
        return _turn(tokens, self.rotation[places].mT) + self.mean[places]

    def at(self, places: Tensor) -> 'PlaceCode':
        """The code of some places, by their numbers: int64 ``[m]``; below 0 there is none."""
        known = places >= 0
        size = self.mean.shape[1]
        mean = torch.zeros(len(places), size)
        mean[known] = self.mean[places[known]]
        rotation = torch.eye(size).repeat(len(places), 1, 1)
        rotation[known] = self.rotation[places[known]]
        return PlaceCode(mean, rotation)


class PlaceMoments:
    """Mean and covariance of every place of a token sequence, of models that arrive one by one."""

    def __init__(self, places: int, token_size: int) -> None:
        """Start empty."""
        self._count = 0
        self._sum = torch.zeros(places, token_size, dtype=torch.float64)
        self._squares = torch.zeros(places, token_size, token_size, dtype=torch.float64)

    def add(self, tokens: Tensor) -> None:
        """Take in all tokens of a model: float ``[places, token_size]``."""
        self._count += 1
        tokens = tokens.double()
        self._sum += tokens
        self._squares += tokens.unsqueeze(2) * tokens.unsqueeze(1)

    def fit(self, mask: Tensor) -> PlaceCode:
        """The code.

        Args:
            mask: Which entries are real, bool ``[places, token_size]``; padding comes last.
        """
        mean = self._sum / self._count
        covariance = self._squares / self._count - mean.unsqueeze(2) * mean.unsqueeze(1)
        rotation = torch.eye(mask.shape[1], dtype=torch.float64).repeat(len(mask), 1, 1)
        for place, real in enumerate(mask.sum(1).tolist()):
            components = torch.linalg.eigh(covariance[place, :real, :real])[1].flip(1)
            # Of a direction and its opposite, always the same one.
            largest = components.gather(0, components.abs().argmax(0, keepdim=True))
            rotation[place, :real, :real] = components * largest.sign()
        return PlaceCode(mean.float(), rotation.float())


def _turn(tokens: Tensor, rotation: Tensor) -> Tensor:
    return (tokens.unsqueeze(-2) @ rotation).squeeze(-2)
