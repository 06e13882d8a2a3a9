"""What a model must be to enter a collection."""

import math
from dataclasses import dataclass
from pathlib import Path

from torchgeo_geosane.collection.base import CollectionError, TrainedModel
from torchgeo_geosane.collection.contents import floating_shapes
from torchgeo_geosane.collection.licences import UnknownLicences, refusal
from torchgeo_geosane.foundry.files import check_plain, telling
from torchgeo_geosane.foundry.source import TensorSource
from torchgeo_geosane.prompts.shards import files_of


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What keeps a model out.

    Attributes:
        unknown_licences: What becomes of models whose licence nobody states.
        max_bytes: Size of the largest file.
        max_parameters: Size of the largest model, in floating-point values.
        duplicate_share: A model is a duplicate where at least this share of its values, 0…1, lies
            in tensors of a model before it. 1 finds only whole copies.
    """

    unknown_licences: UnknownLicences = 'skip'
    max_bytes: int = 8_000_000_000
    max_parameters: int = 2_000_000_000
    duplicate_share: float = 0.9

    def check_model(self, model: TrainedModel) -> None:
        """Look at what is known of a model before its file is fetched.

        Raises:
            CollectionError: If it is kept out, with the reason; so do the checks below.
        """
        # Of what is gone no licence is known either: that is not why it is left out.
        reason = model.missing or refusal(model.licence, self.unknown_licences)
        if reason:
            raise CollectionError(reason)
        if model.size is not None:
            self._check_size(model.size)

    def check_file(self, path: Path) -> None:
        """Look at a file before it is opened."""
        with telling(CollectionError, 'its file cannot be read'):
            self._check_size(_size(path))

    def check_shapes(self, path: Path, source: TensorSource) -> None:
        """Look at a model before its tensors are read."""
        shapes = floating_shapes(source)
        size = _size(path)
        for name, shape in shapes.items():
            # A view can repeat few values without end.
            if math.prod(shape) * source.dtype(name).itemsize > size:
                raise CollectionError(f'tensor {name!r} {list(shape)} is larger than its file')
        parameters = sum(map(math.prod, shapes.values()))
        if parameters > self.max_parameters:
            raise CollectionError(
                f'it has {parameters:,} parameters, at most {self.max_parameters:,} are wanted'
            )
        if not any(len(shape) > 1 and math.prod(shape) for shape in shapes.values()):
            raise CollectionError('it has no floating-point matrix')

    def check_duplicate(self, other: str, share: float) -> None:
        """Look at the model before it that has the largest ``share`` of its values."""
        if share >= self.duplicate_share:
            raise CollectionError(f'{share:.1%} of its values are those of {other}')

    def _check_size(self, size: int) -> None:
        if size > self.max_bytes:
            raise CollectionError(
                f'its file has {size:,} bytes, at most {self.max_bytes:,} are wanted'
            )


def _size(path: Path) -> int:
    return sum(check_plain(file).st_size for file in files_of(path))
