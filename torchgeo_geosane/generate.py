"""Generation: from a spec to a state dict. Read it top to bottom; nothing flows back.

spec → cache hit? → prompt → layout → windows → encode → sample → decode → write in place → stem →
verify → store
"""

from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from tqdm.auto import tqdm

from torchgeo_geosane import cache
from torchgeo_geosane.alignment.of_prompts import align_prompts
from torchgeo_geosane.architectures import Architecture, get_architecture
from torchgeo_geosane.candidate import Candidate, Generated, check_finite, verify
from torchgeo_geosane.errors import PromptError, TokenError
from torchgeo_geosane.foundry.distributed import run_together
from torchgeo_geosane.foundry.engine import Engine, Progress
from torchgeo_geosane.foundry.foundry import Foundry, fingerprint
from torchgeo_geosane.foundry.layout import Layout
from torchgeo_geosane.foundry.sampling import Average, Prior, Sampler
from torchgeo_geosane.foundry.source import OverlaidSource, TensorSource
from torchgeo_geosane.foundry.surroundings import isolated
from torchgeo_geosane.foundry.tokens import TokenReader
from torchgeo_geosane.prompts import REFERENCE, Prompt, keeps_reference, resolve_prompt
from torchgeo_geosane.provenance import AlignmentRecord
from torchgeo_geosane.spec import Spec
from torchgeo_geosane.stem import adapt_stem, same_bands

if TYPE_CHECKING:
    from collections.abc import Iterator


def generate(spec: Spec, progress: bool = False, device: str = 'auto') -> Generated:
    """Weights for a spec, from the cache if they are there, else generated and cached.

    Example:
        >>> generated = generate(Spec('tf_efficientnet_b4', 'sentinel2_all'))
        >>> generated.tensors['conv_stem.weight'].shape
        torch.Size([48, 13, 3, 3])
        >>> generated.provenance.licence
        'MIT, Apache-2.0'

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
        if generated.provenance.key == key:  # Nobody has changed a file meanwhile.
            cache.store(path, generated.tensors, generated.provenance)
    return generated


def identify(spec: Spec) -> str:
    """The key of a spec's result: told without opening the prompt or the foundry.

    Raises:
        GeoSANEError: If the spec names a prompt or a foundry that does not exist.
    """
    prompts = [prompt.fingerprint for prompt in spec.resolve_prompts()]
    return spec.key([fingerprint(spec.foundry), *prompts])


@isolated
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
    prompts = spec.resolve_prompts()
    wanted = get_architecture(spec.architecture, spec.target.in_chans)
    sources = _open(prompts, wanted.stems)
    precision = getattr(torch, spec.precision)
    foundry = Foundry.load(spec.foundry, _device(device), precision)
    layout = _layout(spec, foundry, wanted, sources)
    sampler = foundry.bind(spec.sampler, spec.architecture, layout)
    places = foundry.places(layout)
    sources, alignments = _align(spec, prompts, sources)
    candidates = [
        Candidate(spec, seed, prompts, sources, alignments, wanted, layout, places)
        for seed in seeds
    ]
    if layout.segments:
        scale = foundry.config.row_scale
        readers = [TokenReader(source, layout, scale, places) for source in sources]
        with _progress_bar(spec, 2 * len(layout) if progress else 0) as advance:
            _fill(foundry, spec, sampler, readers, candidates, advance, together)
    return [candidate.finish(foundry) for candidate in candidates]


def identify_prompt(spec: Spec) -> str:
    """What determines :func:`take_prompt`'s result, as text; no foundry has a part in it.

    Raises:
        GeoSANEError: If the spec names a prompt that does not exist.
    """
    prompt = spec.resolve_prompts()[0]
    return f'{prompt.name} {prompt.fingerprint} as {spec.architecture} for {spec.sensor}'


@isolated
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
    prompt = spec.resolve_prompts()[0]
    source = prompt.open()
    wanted = get_architecture(spec.architecture, spec.target.in_chans)
    tensors = wanted.initialise(spec.seed)
    for name in source.names():
        tensor = check_finite(name, source.read(name), spec)
        if name in wanted.stems:
            tensor = adapt_stem(tensor, prompt.bands, spec.target.bands)
        tensors[name] = tensor.to(tensors[name].dtype, copy=True)
    verify(tensors, wanted.shapes)
    return tensors


def _layout(
    spec: Spec, foundry: Foundry, wanted: Architecture, sources: list[TensorSource]
) -> Layout:
    """What is generated, and where it sits in the token sequence: nothing where prompts are averaged."""
    if isinstance(spec.sampler, Average):
        return Layout((), foundry.config.token_size)
    shapes = {
        name: sources[0].shape(name) for name in wanted.shapes if _is_token(name, wanted, sources)
    }
    return Layout.plan(shapes, foundry.config.token_size, foundry.config.tokenisation)


def _fill(
    foundry: Foundry,
    spec: Spec,
    sampler: Sampler,
    readers: list[TokenReader],
    candidates: list[Candidate],
    advance: Progress,
    together: bool,
) -> None:
    """Encode, sample and decode; write every candidate's tokens in place."""
    engine = Engine(foundry.model)
    seeds = [candidate.spec.seed for candidate in candidates]
    try:
        run = partial(run_together, engine) if together else engine.run
        for decoded in run(readers, sampler, seeds, advance):
            for candidate, tokens in zip(candidates, decoded.tokens, strict=True):
                candidate.writer.write(decoded.start, tokens)
        if foundry.config.row_scale != 'none':
            for candidate in candidates:
                for segment in readers[0].layout.segments:
                    candidate.writer.scale_rows(segment, readers, candidate.shares)
    except TokenError as error:
        raise PromptError(f'prompt {", ".join(spec.prompts)}: {error}') from error


def _open(prompts: list[Prompt], stems: tuple[str, ...]) -> list[TensorSource]:
    """Open the prompts, every stem in the first prompt's bands, so that all have one layout."""
    sources = [prompt.open() for prompt in prompts]
    first = prompts[0]
    for index, (prompt, source) in enumerate(zip(prompts, sources, strict=True)):
        if not same_bands(prompt.bands, first.bands):
            fitted = {
                stem: adapt_stem(source.read(stem), prompt.bands, first.bands)
                for stem in stems
                if stem in source.names()
            }
            sources[index] = OverlaidSource(source, fitted)
        lacking = set(sources[0].names()) - set(source.names())
        if lacking:
            raise PromptError(
                f'prompt {prompt.name!r} lacks {min(lacking)!r}, which prompt {first.name!r} has: '
                'prompts can only be mixed if they have the same tensors'
            )
    return sources


def _align(
    spec: Spec, prompts: list[Prompt], sources: list[TensorSource]
) -> tuple[list[TensorSource], list[AlignmentRecord | None]]:
    """The prompts in one order: that in which the foundry has learned, where it has; else the first one's.

    What is drawn without a prompt is in the foundry's order, so prompts beside it are brought into it.
    """
    if spec.prompts == (REFERENCE,) or not (spec.align or isinstance(spec.sampler, Prior)):
        return sources, [None] * len(prompts)
    if not isinstance(spec.sampler, Prior) and not keeps_reference(spec.foundry, spec.architecture):
        if len(prompts) < 2:
            raise PromptError(
                f'prompt {prompts[0].name!r} is the only one, and the foundry {spec.foundry!r} keeps '
                f'no reference of {spec.architecture!r}: there is nothing to align it to. Name more '
                'prompts, or leave align out'
            )
        return align_prompts(prompts, sources)
    reference = resolve_prompt(REFERENCE, spec.architecture, spec.target, spec.seed, spec.foundry)
    aligned, records = align_prompts([reference, *prompts], [reference.open(), *sources])
    return aligned[1:], records[1:]


def _is_token(name: str, wanted: Architecture, sources: list[TensorSource]) -> bool:
    floating = wanted.shapes[name].dtype.is_floating_point
    return floating and name not in wanted.tied and name in sources[0].names()


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
