"""Several encoders side by side as one: features are normalised, brought together and joined.

Foundation-model composition (arXiv 2506.20174) finds that joined features of smaller models match
larger ones, and that concatenation beats averages; EoS-FM (arXiv 2511.21523) normalises them without
affine parameters, one encoder and level at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from timm.models import FeatureInfo
from torch import Tensor, nn

from torchgeo_geosane.errors import ArchitectureError, did_you_mean
from torchgeo_geosane.models.levels import Level, common_size, pyramid, resized

Join = Literal['concat', 'mean']


@dataclass(frozen=True)
class Member:
    """An encoder of an ensemble.

    Attributes:
        name: How it is told from the others in messages.
        model: A timm feature extractor (``features_only=True``) for a
            :class:`FeatureEnsemble`; a timm model without head for a :class:`PooledEnsemble`.
        channels: Which of the input's channels it sees, in its order.
    """

    name: str
    model: nn.Module
    channels: tuple[int, ...]


class FeatureEnsemble(nn.Module):
    """Encoders side by side as one feature extractor, as timm's ``features_only`` models are.

    Each level of the pyramid has the features of all members: of a member without a map of that
    stride, the map of the next one, resized. Every member's map is normalised over its channels at
    each pixel, without parameters, before they are joined.

    Example:
        >>> optical = timm.create_model('resnet18', in_chans=4, features_only=True)
        >>> radar = timm.create_model('resnet18', in_chans=2, features_only=True)
        >>> members = [Member('optical', optical, (0, 1, 2, 3)), Member('radar', radar, (4, 5))]
        >>> [level.shape[1] for level in FeatureEnsemble(members)(torch.zeros(1, 6, 64, 64))]
        [128, 128, 256, 512, 1024]

    Attributes:
        feature_info: Channels and strides of the levels, as timm's extractors state them.
    """

    def __init__(
        self,
        members: Sequence[Member],
        join: Join = 'concat',
        reduce: int | None = None,
        trainable: bool = False,
        out_indices: Sequence[int] | None = None,
    ) -> None:
        """Put members side by side.

        Args:
            members: Two or more.
            join: ``concat`` their channels, or the ``mean`` of maps that 1 × 1 convolutions bring to
                one width.
            reduce: Width of each level after a 1 × 1 convolution; None keeps what joining gives.
            trainable: Whether members are finetuned; else they are frozen, and their running
                statistics stay as they are.
            out_indices: Which levels are given; None is all.

        Raises:
            ArchitectureError: If there are fewer than two members, one twice, one that is an
                ensemble, or an argument is out of range.
        """
        super().__init__()
        _check(members, join, reduce)
        infos = [_levels(member) for member in members]
        strides, sources = pyramid(infos)
        chosen = range(len(strides)) if out_indices is None else list(out_indices)
        if any(not -len(strides) <= at < len(strides) for at in chosen):
            raise ArchitectureError(
                f'out_indices {list(chosen)}: the ensemble has {len(strides)} levels, of strides '
                f'{", ".join(map(str, strides))}'
            )
        self._strides = [strides[at] for at in chosen]
        self._sources = [[levels[at] for at in chosen] for levels in sources]
        self._names = [member.name for member in members]
        self._channels = [list(member.channels) for member in members]
        self.members = nn.ModuleList(_member(member.model, trainable) for member in members)
        widths = [
            [info[source][0] for source in levels]
            for info, levels in zip(infos, self._sources, strict=True)
        ]
        self.joins = nn.ModuleList(
            _Join([width[level] for width in widths], join, reduce) for level in range(len(chosen))
        )
        self.feature_info = FeatureInfo(
            [
                {'num_chs': layer.width, 'reduction': stride, 'module': f'joins.{level}'}
                for level, (layer, stride) in enumerate(zip(self.joins, self._strides, strict=True))
            ],
            tuple(range(len(chosen))),
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """The levels, the finest first.

        Args:
            images: float ``[batch, channels, height, width]``.

        Returns:
            float ``[batch, width, rows, columns]`` each.

        Raises:
            ArchitectureError: If a member gives tokens in the place of maps.
        """
        found = [
            _checked(name, member(images[:, channels]), 4)
            for name, member, channels in zip(
                self._names, self.members, self._channels, strict=True
            )
        ]
        height, width = images.shape[-2:]
        levels = []
        for at, stride in enumerate(self._strides):
            maps = [maps[levels_[at]] for maps, levels_ in zip(found, self._sources, strict=True)]
            size = common_size(maps, (-(-height // stride), -(-width // stride)))
            levels.append(self.joins[at]([resized(each, size) for each in maps]))
        return levels


class PooledEnsemble(nn.Module):
    """Encoders side by side as one classifier: pooled features, normalised, joined, and a head.

    It has what tools ask of timm's models: ``num_features``, ``get_classifier``,
    ``reset_classifier``, ``forward_features`` and ``forward_head``.
    """

    def __init__(
        self,
        members: Sequence[Member],
        num_classes: int = 1000,
        join: Join = 'concat',
        reduce: int | None = None,
        trainable: bool = False,
    ) -> None:
        """Put members side by side.

        Args:
            members: Two or more; each pools as it was built to, by its class token say.
            num_classes: Outputs of the head; 0 for none.
            join: As in :class:`FeatureEnsemble`.
            reduce: As in :class:`FeatureEnsemble`.
            trainable: As in :class:`FeatureEnsemble`.

        Raises:
            ArchitectureError: As in :class:`FeatureEnsemble`.
        """
        super().__init__()
        _check(members, join, reduce)
        self._names = [member.name for member in members]
        self._channels = [list(member.channels) for member in members]
        widths = [_features(member.model) for member in members]
        self.members = nn.ModuleList(_member(member.model, trainable) for member in members)
        self.joined = _Join(widths, join, reduce)
        self.num_features = self.head_hidden_size = self.joined.width
        self.reset_classifier(num_classes)

    def get_classifier(self) -> nn.Module:
        """The head."""
        return self.head

    def reset_classifier(self, num_classes: int) -> None:
        """Another head."""
        self.num_classes = num_classes
        self.head = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()

    def forward_features(self, images: Tensor) -> Tensor:
        """Joined features of images ``[batch, channels, height, width]``: ``[batch, width]``.

        Raises:
            ArchitectureError: If a member does not pool.
        """
        found = [
            _checked(name, [member(images[:, channels])], 2)[0]
            for name, member, channels in zip(
                self._names, self.members, self._channels, strict=True
            )
        ]
        return self.joined([each[..., None, None] for each in found]).flatten(1)

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        """Scores of the classes; the features where ``pre_logits``."""
        return features if pre_logits else self.head(features)

    def forward(self, images: Tensor) -> Tensor:
        """Scores of the classes ``[batch, num_classes]``."""
        return self.forward_head(self.forward_features(images))


class _Frozen(nn.Module):
    """A model that never trains, whoever calls ``train()`` on what holds it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> '_Frozen':
        super().train(mode)
        self.model.eval()
        return self

    def forward(self, images: Tensor) -> Any:
        # Not inference mode: what a decoder saves for its gradients must not come from it.
        with torch.no_grad():
            return self.model(images)


class _Join(nn.Module):
    """Maps of one size as one."""

    def __init__(self, widths: Sequence[int], join: Join, reduce: int | None) -> None:
        super().__init__()
        self.maps: nn.ModuleList | None = None
        if join == 'mean':
            self.width = reduce or max(widths)
            self.maps = nn.ModuleList(nn.Conv2d(width, self.width, 1) for width in widths)
            self.reduce: nn.Module = nn.Identity()
            return
        self.width = reduce or sum(widths)
        self.reduce = nn.Conv2d(sum(widths), reduce, 1) if reduce else nn.Identity()

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        normalised = [_normalised(each) for each in maps]
        if self.maps is None:
            return self.reduce(torch.cat(normalised, dim=1))
        mapped = [layer(each) for layer, each in zip(self.maps, normalised, strict=True)]
        return torch.stack(mapped).mean(0)


def _checked(name: str, found: list[Tensor], dimensions: int) -> list[Tensor]:
    """What a member gives, if it is maps where maps are wanted, and vectors where they are."""
    for each in found:
        if each.ndim != dimensions:
            what = 'maps [batch, channels, rows, columns]' if dimensions == 4 else 'vectors'
            raise ArchitectureError(
                f'{name!r} gives values of shape {list(each.shape)}, such as tokens of classes, and {what} are '
                'joined: take another architecture, or another global_pool'
            )
    return found


def _normalised(values: Tensor) -> Tensor:
    """Mean 0 and variance 1 over the channels of each pixel."""
    last = values.movedim(1, -1)
    return F.layer_norm(last, last.shape[-1:]).movedim(-1, 1)


def _member(model: nn.Module, trainable: bool) -> nn.Module:
    ordered = _ChannelsFirst(model)
    return ordered if trainable else _Frozen(ordered)


class _ChannelsFirst(nn.Module):
    """A feature extractor whose maps have their channels first, as Swin's do not."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self._last = str(getattr(model, 'output_fmt', '')).endswith('NHWC')

    def forward(self, images: Tensor) -> Any:
        found = self.model(images)
        return [each.movedim(-1, 1) for each in found] if self._last else found


def _levels(member: Member) -> list[Level]:
    info: Any = getattr(member.model, 'feature_info', None)
    if not hasattr(info, 'reduction'):
        raise ArchitectureError(
            f'{member.name!r} is no feature extractor: build it with features_only=True'
        )
    return list(zip(info.channels(), info.reduction(), strict=True))


def _features(model: nn.Module) -> int:
    width = getattr(model, 'head_hidden_size', None) or getattr(model, 'num_features', None)
    assert isinstance(width, int)
    return width


def _check(members: Sequence[Member], join: str, reduce: int | None) -> None:
    if len(members) < 2:
        raise ArchitectureError(f'an ensemble has two members or more, not {len(members)}')
    names = [member.name for member in members]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ArchitectureError(
            f'{twice[0]!r} is in the ensemble twice: it would say the same twice; name another seed'
        )
    for member in members:
        if isinstance(member.model, FeatureEnsemble | PooledEnsemble):
            raise ArchitectureError(
                f'{member.name!r} is an ensemble itself: name its members in its place'
            )
    if join not in get_args(Join):
        raise ArchitectureError(f'unknown join {join!r}{did_you_mean(join, get_args(Join))}')
    if reduce is not None and reduce < 1:
        raise ArchitectureError(f'reduce {reduce} leaves no channel: give 1 or more, or none')
