"""A candidate: one state dict on its way from allocated to complete, verified and described."""

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from torchgeo_geosane.architectures import Architecture, TensorSpec
from torchgeo_geosane.errors import FoundryError, PromptError
from torchgeo_geosane.foundry.foundry import Foundry
from torchgeo_geosane.foundry.layout import Layout
from torchgeo_geosane.foundry.places import PlaceCode
from torchgeo_geosane.foundry.source import TensorSource, all_finite
from torchgeo_geosane.foundry.tokens import TokenWriter
from torchgeo_geosane.prompts import Prompt
from torchgeo_geosane.provenance import (
    AlignmentRecord,
    Coverage,
    PromptRecord,
    Provenance,
    StemRecord,
)
from torchgeo_geosane.spec import Spec
from torchgeo_geosane.stem import adapt_stem, same_bands

_VERSIONED = ('torchgeo-geosane', 'torch', 'timm', 'torchgeo')


@dataclass(frozen=True)
class Generated:
    """Generated weights.

    Attributes:
        tensors: The state dict of the headless architecture, complete and exact, on the CPU.
        provenance: Where it comes from.
    """

    tensors: dict[str, Tensor]
    provenance: Provenance


class Candidate:
    """One state dict on its way: allocated, written into, completed, verified."""

    def __init__(
        self,
        spec: Spec,
        seed: int,
        prompts: list[Prompt],
        sources: list[TensorSource],
        alignments: Sequence[AlignmentRecord | None],
        wanted: Architecture,
        layout: Layout,
        places: PlaceCode | None = None,
    ) -> None:
        self.spec = replace(spec, seed=seed)
        self.shares = spec.sampler.shares(len(prompts), seed)
        self._prompts = prompts
        self._sources = sources
        self._alignments = alignments
        self._wanted = wanted
        self._bands = spec.target.bands
        self._layout = layout
        # Before the result is allocated: a whole model is built for the sake of a few tensors.
        self._fresh = self._initialised(set(sources[0].names()))
        # The stem is written as the prompt has it, then fitted to the sensor: so it may have
        # another shape for a while.
        self.tensors = {
            name: torch.empty(
                sources[0].shape(name) if name in layout.names else tensor.shape,
                dtype=tensor.dtype,
            )
            for name, tensor in wanted.shapes.items()
        }
        self.writer = TokenWriter(self.tensors, layout, places)

    def finish(self, foundry: Foundry) -> Generated:
        """Add what is not generated, fit the stem to the sensor, verify."""
        available = set(self._sources[0].names())
        coverage: dict[str, Coverage] = {}
        tied = self._wanted.tied
        for name in self._wanted.shapes:
            if name in tied:
                coverage[name] = coverage[tied[name]]
                self._set(name, self.tensors[tied[name]])
            elif name in self._layout.names:
                coverage[name] = 'generated'
            elif name in available:
                coverage[name] = 'prompt'
                self._set(name, check_finite(name, self._blend(name), self.spec))
            else:
                coverage[name] = 'initialised'
                self._set(name, self._fresh[name])
        # Other prompts' stems were brought to the first one's bands.
        in_prompt = self._prompts[0].bands
        if self._is_stem_adapted():
            for stem in self._wanted.stems:
                if coverage[stem] != 'initialised':
                    coverage[stem] = 'adapted'
                    self._set(stem, adapt_stem(self.tensors[stem], in_prompt, self._bands))
        verify(self.tensors, self._wanted.shapes)
        return Generated(self.tensors, self._provenance(foundry, coverage))

    def _is_stem_adapted(self) -> bool:
        """Whether a prompt that has a share in the result sees other bands than the sensor's."""
        return any(
            share > 0 and not same_bands(prompt.bands, self._bands)
            for prompt, share in zip(self._prompts, self.shares, strict=True)
        )

    def _set(self, name: str, tensor: Tensor) -> None:
        """Store a copy that shares memory with nothing and is laid out as files want it."""
        copy = torch.empty(tensor.shape, dtype=self._wanted.shapes[name].dtype)
        self.tensors[name] = copy.copy_(tensor)

    def _initialised(self, available: set[str]) -> dict[str, Tensor]:
        lacking = [name for name in self._wanted.shapes if name not in available]
        if not lacking:
            return {}
        whole = self._wanted.initialise(self.spec.seed)
        return {name: whole[name] for name in lacking}

    def _blend(self, name: str) -> Tensor:
        """What the prompts have for a tensor that is not generated, each by its share."""
        if (
            sum(share > 0 for share in self.shares) == 1
            or not self._wanted.shapes[name].dtype.is_floating_point
        ):
            return self._sources[self.shares.index(max(self.shares))].read(name)
        tensors = (
            source.read(name).float() * share
            for source, share in zip(self._sources, self.shares, strict=True)
        )
        return torch.stack(list(tensors)).sum(dim=0)

    def _provenance(self, foundry: Foundry, coverage: dict[str, Coverage]) -> Provenance:
        prompts = self._prompts
        return Provenance(
            url=self.spec.url,
            key=self.spec.key([foundry.fingerprint, *(prompt.fingerprint for prompt in prompts)]),
            architecture=self.spec.architecture,
            sensor=self.spec.sensor,
            foundry=foundry.name,
            foundry_fingerprint=foundry.fingerprint,
            foundry_licence=foundry.info.get('licence', 'unknown'),
            prompts=tuple(
                PromptRecord(
                    prompt.name,
                    prompt.source,
                    prompt.licence,
                    prompt.fingerprint,
                    prompt.sensor,
                    tuple(band.name for band in prompt.bands),
                    alignment,
                )
                for prompt, alignment in zip(prompts, self._alignments, strict=True)
            ),
            stem=StemRecord(
                self._wanted.stems,
                tuple(band.name for band in prompts[0].bands),
                tuple(band.name for band in self._bands),
                'adapted' in coverage.values(),
            ),
            versions=_versions(),
            coverage=coverage,
        )


def _versions() -> dict[str, str]:
    """Versions of what computed the weights; TorchGeo need not be there."""
    return {
        package: importlib.metadata.version(package)
        for package in _VERSIONED
        if any(importlib.metadata.distributions(name=package))
    }


def check_finite(name: str, tensor: Tensor, spec: Spec) -> Tensor:
    """A prompt's tensor, if it can be used."""
    if tensor.dtype.is_floating_point and not all_finite(tensor):
        raise PromptError(
            f'prompt {", ".join(spec.prompts)}: tensor {name!r} holds NaN or infinite values: '
            'it cannot be a prompt. Check the file it comes from.'
        )
    return tensor


def verify(tensors: Mapping[str, Tensor], target: Mapping[str, TensorSpec]) -> None:
    """Make sure that the state dict is exactly what the architecture wants, and finite.

    Raises:
        FoundryError: If it is not; the tensor is named.
    """
    for name, wanted in target.items():
        tensor = tensors[name]
        if tuple(tensor.shape) != wanted.shape or tensor.dtype != wanted.dtype:
            raise FoundryError(
                f'{name!r} came out as {tuple(tensor.shape)} {tensor.dtype}, '
                f'the architecture wants {wanted.shape} {wanted.dtype}'
            )
        if wanted.dtype.is_floating_point and not all_finite(tensor):
            raise FoundryError(
                f'{name!r} came out with NaN or infinite values: '
                'choose a smaller bandwidth, or another foundry'
            )
