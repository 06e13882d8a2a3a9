"""Generation: from a spec to a state dict. Read it top to bottom; nothing flows back.

spec → cache hit? → prompt → layout → windows → encode → sample → decode → write in place → stem →
verify → store
"""

import importlib.metadata
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from tqdm.auto import tqdm

from torchgeo_geosane import cache
from torchgeo_geosane.architectures import TensorSpec, initialise, target_shapes
from torchgeo_geosane.errors import FoundryError, PromptError, TokenError
from torchgeo_geosane.foundry.distributed import run_together
from torchgeo_geosane.foundry.engine import Engine, Progress
from torchgeo_geosane.foundry.foundry import Foundry, fingerprint
from torchgeo_geosane.foundry.layout import Layout
from torchgeo_geosane.foundry.source import OverlaidSource, TensorSource
from torchgeo_geosane.foundry.tokens import TokenReader, TokenWriter
from torchgeo_geosane.prompts import Prompt, resolve_prompt
from torchgeo_geosane.provenance import Coverage, PromptRecord, Provenance, StemRecord
from torchgeo_geosane.spec import Spec
from torchgeo_geosane.stem import adapt_stem, find_stem, same_bands

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def generate(spec: Spec, progress: bool = False, device: str = 'auto') -> Generated:
    """Weights for a spec, from the cache if they are there, else generated and cached.

    Args:
        spec: What is wanted.
        progress: Show a progress bar on standard error while generating.
        device: Where the foundry runs: ``auto`` for a GPU if there is one, or a torch device.

    Returns:
        Weights that nobody else holds: change them as you like.

    Raises:
        GeoSANEError: If the prompt or the foundry cannot be had, or do not fit.
    """
    key = identify(spec)
    path = cache.path_of(spec, key)
    with cache.locked(path):
        hit = cache.load(path, key)
        if hit is not None:
            return Generated(*hit)
        generated = create(spec, [spec.seed], progress, device)[0]
        cache.store(path, generated.tensors, generated.provenance)
    return generated


def identify(spec: Spec) -> str:
    """The key of a spec's result: told without opening the prompt or the foundry.

    Raises:
        GeoSANEError: If the spec names a prompt or a foundry that does not exist.
    """
    prompts = [prompt.fingerprint for prompt in _resolve(spec)]
    return spec.key([fingerprint(spec.foundry), *prompts])


def create(
    spec: Spec,
    seeds: Sequence[int],
    progress: bool = False,
    device: str = 'auto',
    together: bool = False,
) -> list[Generated]:
    """Generate candidates of a spec, past the cache. They share the encoding of the prompts.

    Args:
        spec: What is wanted, apart from its seed.
        seeds: One candidate each.
        progress: Show a progress bar on standard error.
        device: Where the foundry runs.
        together: Split the work over the default process group of ``torch.distributed``: all its
            processes call this alike, and all get the same bytes that one process alone gets.

    Raises:
        GeoSANEError: If the prompt or the foundry cannot be had, or do not fit.
    """
    if 'random' in spec.prompts and set(seeds) != {spec.seed}:
        # Every seed has a random prompt of its own: there is nothing to share.
        return [
            create(replace(spec, seed=seed), [seed], progress, device, together)[0]
            for seed in seeds
        ]
    prompts = _resolve(spec)
    sources = _open(prompts, stem=find_stem(spec.architecture))
    foundry = Foundry.load(spec.foundry, _device(device))
    target = target_shapes(spec.architecture, spec.target.in_chans)
    layout = Layout.plan(
        {name: sources[0].shape(name) for name in target if _is_token(name, target, sources)},
        foundry.config.token_size,
        foundry.config.tokenisation,
    )
    candidates = [_Candidate(spec, seed, prompts, sources, target, layout) for seed in seeds]
    with _progress_bar(spec, 2 * len(layout) if progress else 0) as advance:
        _fill(foundry, spec, sources, layout, candidates, advance, together)
    return [candidate.finish(foundry) for candidate in candidates]


def take_prompt(spec: Spec) -> dict[str, Tensor]:
    """The first prompt itself, in the sensor's bands: what generated weights are compared with.

    Args:
        spec: Its architecture, sensor and first prompt are looked at; what the prompt lacks is
            initialised from its seed.

    Returns:
        The state dict of the headless architecture, on the CPU.

    Raises:
        GeoSANEError: If the prompt cannot be had, or does not fit.
    """
    prompt = _resolve(spec)[0]
    source = prompt.open()
    stem = find_stem(spec.architecture)
    tensors = initialise(spec.architecture, spec.target.in_chans, spec.seed)
    for name in source.names():
        tensor = _finite(name, source.read(name), spec)
        if name == stem:
            tensor = adapt_stem(tensor, prompt.bands, spec.target.bands)
        tensors[name] = tensor.to(tensors[name].dtype, copy=True)
    _verify(tensors, target_shapes(spec.architecture, spec.target.in_chans))
    return tensors


class _Candidate:
    """One state dict on its way: allocated, written into, completed, verified."""

    def __init__(
        self,
        spec: Spec,
        seed: int,
        prompts: list[Prompt],
        sources: list[TensorSource],
        target: Mapping[str, TensorSpec],
        layout: Layout,
    ) -> None:
        self.spec = replace(spec, seed=seed)
        self.shares = spec.sampler.shares(len(prompts), seed)
        self._prompts = prompts
        self._sources = sources
        self._target = target
        self._stem = find_stem(spec.architecture)
        self._bands = spec.target.bands
        self._layout = layout
        # Before the result is allocated: a whole model is built for the sake of a few tensors.
        self._fresh = self._initialised(set(sources[0].names()))
        # The stem is written as the prompt has it, then fitted to the sensor: so it may have
        # another shape for a while.
        self.tensors = {
            name: torch.empty(
                sources[0].shape(name) if name in layout.names else wanted.shape, dtype=wanted.dtype
            )
            for name, wanted in target.items()
        }
        self.writer = TokenWriter(self.tensors, layout)

    def finish(self, foundry: Foundry) -> Generated:
        """Add what is not generated, fit the stem to the sensor, verify."""
        available = set(self._sources[0].names())
        coverage: dict[str, Coverage] = {}
        for name in self._target:
            if name in self._layout.names:
                coverage[name] = 'generated'
            elif name in available:
                coverage[name] = 'prompt'
                self._set(name, _finite(name, self._blend(name), self.spec))
            else:
                coverage[name] = 'initialised'
                self._set(name, self._fresh[name])
        in_prompt = self._prompts[0].bands
        if coverage[self._stem] != 'initialised' and not same_bands(in_prompt, self._bands):
            coverage[self._stem] = 'adapted'
            self._set(self._stem, adapt_stem(self.tensors[self._stem], in_prompt, self._bands))
        _verify(self.tensors, self._target)
        return Generated(self.tensors, self._provenance(foundry, coverage))

    def _set(self, name: str, tensor: Tensor) -> None:
        """Store a copy that shares memory with nothing and is laid out as files want it."""
        copy = torch.empty(tensor.shape, dtype=self._target[name].dtype)
        self.tensors[name] = copy.copy_(tensor)

    def _initialised(self, available: set[str]) -> dict[str, Tensor]:
        if available >= set(self._target):
            return {}
        whole = initialise(self.spec.architecture, len(self._bands), self.spec.seed)
        return {name: whole[name] for name in self._target if name not in available}

    def _blend(self, name: str) -> Tensor:
        """What the prompts have for a tensor that is not generated, each by its share."""
        if (
            sum(share > 0 for share in self.shares) == 1
            or not self._target[name].dtype.is_floating_point
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
                )
                for prompt in prompts
            ),
            stem=StemRecord(
                self._stem,
                tuple(band.name for band in prompts[0].bands),
                tuple(band.name for band in self._bands),
                coverage[self._stem] == 'adapted',
            ),
            versions={package: importlib.metadata.version(package) for package in _VERSIONED},
            coverage=coverage,
        )


def _fill(
    foundry: Foundry,
    spec: Spec,
    sources: list[TensorSource],
    layout: Layout,
    candidates: list[_Candidate],
    advance: Progress,
    together: bool,
) -> None:
    """Encode, sample and decode; write every candidate's tokens in place."""
    scale = foundry.config.row_scale
    readers = [TokenReader(source, layout, scale) for source in sources]
    engine = Engine(foundry.model, getattr(torch, spec.precision))
    seeds = [candidate.spec.seed for candidate in candidates]
    try:
        run = partial(run_together, engine) if together else engine.run
        for decoded in run(readers, spec.sampler, seeds, advance):
            for candidate, tokens in zip(candidates, decoded.tokens, strict=True):
                candidate.writer.write(decoded.start, tokens)
        if scale != 'none':
            for candidate in candidates:
                for segment in layout.segments:
                    candidate.writer.scale_rows(segment, readers, candidate.shares)
    except TokenError as error:
        raise PromptError(f'prompt {", ".join(spec.prompts)}: {error}') from error


def _resolve(spec: Spec) -> list[Prompt]:
    return [
        resolve_prompt(name, spec.architecture, spec.target, spec.seed) for name in spec.prompts
    ]


def _open(prompts: list[Prompt], stem: str) -> list[TensorSource]:
    """Open the prompts, every stem in the first prompt's bands, so that all have one layout."""
    sources = [prompt.open() for prompt in prompts]
    first = prompts[0]
    for index, (prompt, source) in enumerate(zip(prompts, sources, strict=True)):
        if stem in source.names() and not same_bands(prompt.bands, first.bands):
            fitted = adapt_stem(source.read(stem), prompt.bands, first.bands)
            sources[index] = OverlaidSource(source, {stem: fitted})
        lacking = set(sources[0].names()) - set(source.names())
        if lacking:
            raise PromptError(
                f'prompt {prompt.name!r} lacks {min(lacking)!r}, which prompt {first.name!r} has: '
                'prompts can only be mixed if they have the same tensors'
            )
    return sources


def _is_token(name: str, target: Mapping[str, TensorSpec], sources: list[TensorSource]) -> bool:
    return target[name].dtype.is_floating_point and name in sources[0].names()


def _finite(name: str, tensor: Tensor, spec: Spec) -> Tensor:
    """A prompt's tensor, if it can be used."""
    if tensor.dtype.is_floating_point and not torch.isfinite(tensor).all():
        raise PromptError(
            f'prompt {", ".join(spec.prompts)}: tensor {name!r} holds NaN or infinite values: '
            'it cannot be a prompt. Check the file it comes from.'
        )
    return tensor


def _verify(tensors: Mapping[str, Tensor], target: Mapping[str, TensorSpec]) -> None:
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
        if wanted.dtype.is_floating_point and not torch.isfinite(tensor).all():
            raise FoundryError(
                f'{name!r} came out with NaN or infinite values: '
                'choose a smaller bandwidth, or another foundry'
            )


def _device(name: str) -> torch.device:
    if name == 'auto':
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    return torch.device(name)


@contextmanager
def _progress_bar(spec: Spec, total: int) -> 'Iterator[Progress]':
    """A bar on standard error; none where ``total`` is 0."""
    description = f'{spec.architecture} for {spec.sensor}'
    with tqdm(total=total, desc=description, unit='token', disable=not total, leave=False) as bar:
        yield bar.update
