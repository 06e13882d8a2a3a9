"""What a training leaves behind: the foundry, and everything that tells how it came about."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import torch

from torchgeo_geosane.atomic import replacing
from torchgeo_geosane.collection import PackageSource, write_manifest
from torchgeo_geosane.collection.collect import SOURCES
from torchgeo_geosane.foundry import checkpoint
from torchgeo_geosane.foundry.autoencoder import WeightAutoencoder
from torchgeo_geosane.training.config import CollectionConfig, OptimisationConfig
from torchgeo_geosane.training.known import learn
from torchgeo_geosane.training.linear import standardise_latents
from torchgeo_geosane.training.report import ModelReport, latent_moments, report
from torchgeo_geosane.training.store import OpenedModel

FOUNDRY = 'foundry.safetensors'
# Windows of each model that standardise the latents, and that the report measures.
_WINDOWS = 32


def finish(model: WeightAutoencoder, trained: Sequence[OpenedModel]) -> WeightAutoencoder:
    """What is shipped of a trained autoencoder: without projection head, its latents standardised.

    Args:
        model: The trained autoencoder.
        trained: The models over which latents get mean 0 and standard deviation 1.
    """
    shipped = WeightAutoencoder(dataclasses.replace(model.config, projection_dim=0))
    weights = {k: v for k, v in model.state_dict().items() if not k.startswith('projection_head.')}
    shipped.load_state_dict(weights)
    shipped.to(next(model.parameters()).device).eval().requires_grad_(False)
    standardise_latents(shipped, latent_moments(shipped, trained, _WINDOWS))
    return shipped


def write_results(
    output: Path,
    model: WeightAutoencoder,
    models: Sequence[OpenedModel],
    collection: CollectionConfig,
    optimisation: OptimisationConfig,
    minutes: float,
) -> list[ModelReport]:
    """Measure a trained autoencoder and write it with all that belongs to it.

    Args:
        output: The folder.
        model: The autoencoder as training left it.
        models: The collection; trained models come first in what is written.
        collection: What of it the file keeps.
        optimisation: How it was trained.
        minutes: How long.

    Returns:
        Errors on every model.

    Raises:
        CacheError: If the disk refuses. The foundry is not there then, and the training goes on to
            write it when it is called again.
    """
    models = sorted(models, key=lambda opened: opened.entry.split != 'trained')
    trained = [opened for opened in models if opened.entry.split == 'trained']
    shipped = finish(model, trained)
    # What is stored has float16 weights: measure that, not what it was rounded from.
    shipped.half().float()
    reports = report(shipped, models, _WINDOWS)
    with replacing(output / 'manifest.jsonl') as provisional:
        write_manifest(provisional, [opened.entry for opened in models])
    with replacing(output / 'report.json') as provisional:
        _write_report(provisional, optimisation, minutes, reports)
    with replacing(output / 'NOTICE') as provisional:
        provisional.write_text(notice(trained), encoding='utf-8')
    # The foundry comes last: where it is, all is.
    with replacing(output / FOUNDRY) as provisional:
        checkpoint.save(
            provisional,
            shipped,
            _info(trained, reports),
            dtype=torch.float16,
            known=learn(shipped, models, reports, collection),
        )
    return reports


def notice(trained: Sequence[OpenedModel]) -> str:
    """The licences of the models that were trained on, as far as packages state their texts."""
    parts = ['This foundry was trained on the following models.\n']
    used = [opened.entry for opened in trained]
    for package, version in dict.fromkeys((entry.package, entry.version) for entry in used):
        entries = [each for each in used if (each.package, each.version) == (package, version)]
        source = SOURCES.get(entries[0].name.partition('/')[0])
        if isinstance(source, PackageSource):
            files = '\n'.join(f'  {entry.file}' for entry in entries)
            head = f'{source.name} {source.version} ({source.licence})\n{files}\n'
            parts.append(f'{"=" * 72}\n{head}\n{source.licence_text()}')
        else:
            lines = '\n'.join(f'  {e.file} ({e.licence or "no licence stated"})' for e in entries)
            parts.append(f'{"=" * 72}\n{f"{package} {version}".strip()}\n{lines}\n')
    return '\n'.join(parts)


def _info(trained: Sequence[OpenedModel], reports: Sequence[ModelReport]) -> dict[str, str]:
    """What the file says about itself."""
    entries = [opened.entry for opened in trained]
    return {
        'description': 'GeoSANE weight-space autoencoder, trained by torchgeo-geosane',
        'licence': 'MIT',
        'collection': ', '.join(
            f'{e.name} ({e.package} {e.version}, {e.licence})' for e in entries
        ),
        'collection_tokens': str(sum(entry.tokens for entry in entries)),
        'reconstruction': json.dumps({r.name: r.reconstruction for r in reports}),
        'generation': json.dumps({r.name: r.generation for r in reports}),
        'held_out': ', '.join(r.name for r in reports if r.split == 'held_out'),
    }


def _write_report(
    path: Path, options: OptimisationConfig, minutes: float, reports: Sequence[ModelReport]
) -> None:
    content = {
        'measure': '|y - x| / |x| over the real entries, rows scaled as the foundry scales them',
        'windows': _WINDOWS,
        'minutes': round(minutes, 1),
        'torch': torch.__version__,
        'seed': options.seed,
        'models': [dataclasses.asdict(entry) for entry in reports],
    }
    path.write_text(json.dumps(content, indent=1) + '\n', encoding='utf-8')
