"""Train a foundry and write everything that tells how it came about."""

import dataclasses
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger

from torchgeo_geosane.collection import PackageSource, write_manifest
from torchgeo_geosane.collection.collect import SOURCES
from torchgeo_geosane.foundry import checkpoint
from torchgeo_geosane.foundry.autoencoder import WeightAutoencoder
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.training.config import CollectionConfig, OptimisationConfig
from torchgeo_geosane.training.data import FoundryDataModule, OpenedModel
from torchgeo_geosane.training.linear import standardise_latents, start_linear
from torchgeo_geosane.training.module import FoundryTask
from torchgeo_geosane.training.report import ModelReport, latent_moments, report

# Windows of each model that standardise the latents, and that the report measures.
_REPORT_WINDOWS = 32


def train_foundry(
    foundry: FoundryConfig,
    collection: CollectionConfig,
    optimisation: OptimisationConfig,
    output: Path,
    progress: bool = True,
) -> list[ModelReport]:
    """Train a foundry on a collection.

    Writes ``foundry.safetensors`` (float16, without the projection head), ``training.csv``,
    ``manifest.jsonl``, ``report.json`` and ``NOTICE`` (the models' licences) into ``output``.

    Args:
        foundry: Sizes and variants of the autoencoder.
        collection: The models it learns from, and those it is judged by.
        optimisation: How it is trained.
        output: Folder for the results; made if it is missing.
        progress: Whether to show a progress bar.

    Returns:
        Errors on every model, trained and held out.

    Raises:
        CollectionError: If a model is missing, damaged or named wrongly.
        FoundryError: If the configuration contradicts itself.
    """
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    data = FoundryDataModule(foundry, collection, optimisation)
    data.setup()
    task = FoundryTask(foundry, optimisation)
    if optimisation.linear_start:
        start_linear(task.model, (run for opened in data.trained for run in opened.runs()))
    began = time.monotonic()
    _fit(task, data, optimisation, output, progress)
    minutes = (time.monotonic() - began) / 60

    model = finish(task.model, data.trained)
    models = [*data.trained, *data.held_out]
    # What is stored has float16 weights: measure that, not what it was rounded from.
    model.half().float()
    reports = report(model, models, _REPORT_WINDOWS)
    checkpoint.save(
        output / 'foundry.safetensors', model, _info(models, reports), dtype=torch.float16
    )
    write_manifest(output / 'manifest.jsonl', [opened.entry for opened in models])
    _write_report(output / 'report.json', optimisation, minutes, reports)
    (output / 'NOTICE').write_text(_notice(models), encoding='utf-8')
    return reports


def finish(model: WeightAutoencoder, trained: Sequence[OpenedModel]) -> WeightAutoencoder:
    """What is shipped of a trained autoencoder: without projection head, its latents standardised.

    Args:
        model: The trained autoencoder.
        trained: The models over which latents get mean 0 and standard deviation 1.
    """
    shipped = WeightAutoencoder(dataclasses.replace(model.config, projection_dim=0))
    weights = {k: v for k, v in model.state_dict().items() if not k.startswith('projection_head.')}
    shipped.load_state_dict(weights)
    shipped.eval().requires_grad_(False)
    standardise_latents(shipped, latent_moments(shipped, trained, _REPORT_WINDOWS))
    return shipped


def _fit(
    task: FoundryTask,
    data: FoundryDataModule,
    options: OptimisationConfig,
    output: Path,
    progress: bool,
) -> None:
    bar: list[Callback] = [TQDMProgressBar(refresh_rate=options.log_every)] if progress else []
    logger = CSVLogger(str(output), name='log', version='')
    trainer = Trainer(
        max_steps=options.steps,
        max_epochs=1,
        precision=options.precision,
        gradient_clip_val=options.gradient_clip,
        val_check_interval=max(1, options.steps // options.validations),
        log_every_n_steps=options.log_every,
        num_sanity_val_steps=0,
        enable_progress_bar=progress,
        enable_model_summary=False,
        enable_checkpointing=False,
        logger=logger,
        callbacks=bar,
    )
    # The log begins with the errors of the untrained start.
    trainer.validate(task, datamodule=data, verbose=False)
    trainer.fit(task, datamodule=data)
    logger.finalize('success')
    shutil.copyfile(Path(logger.log_dir) / 'metrics.csv', output / 'training.csv')
    shutil.rmtree(logger.log_dir)


def _info(models: Sequence[OpenedModel], reports: Sequence[ModelReport]) -> dict[str, str]:
    """What the file says about itself."""
    trained = [m.entry for m in models if m.entry.split == 'trained']
    return {
        'description': 'GeoSANE weight-space autoencoder, trained by torchgeo-geosane',
        'licence': 'MIT',
        'collection': ', '.join(
            f'{e.name} ({e.package} {e.version}, {e.licence})' for e in trained
        ),
        'collection_tokens': str(sum(entry.tokens for entry in trained)),
        'reconstruction': json.dumps({r.name: r.reconstruction for r in reports}),
        'generation': json.dumps({r.name: r.generation for r in reports}),
        'held_out': ', '.join(r.name for r in reports if r.split == 'held_out'),
    }


def _write_report(
    path: Path, options: OptimisationConfig, minutes: float, reports: Sequence[ModelReport]
) -> None:
    content = {
        'measure': '|y - x| / |x| over the real entries, rows scaled as the foundry scales them',
        'windows': _REPORT_WINDOWS,
        'minutes': round(minutes, 1),
        'torch': torch.__version__,
        'seed': options.seed,
        'models': [dataclasses.asdict(entry) for entry in reports],
    }
    path.write_text(json.dumps(content, indent=1) + '\n', encoding='utf-8')


def _notice(models: Sequence[OpenedModel]) -> str:
    """The licences of the models that were trained on, as far as packages state their texts."""
    parts = ['This foundry was trained on the following models.\n']
    used = [opened.entry for opened in models if opened.entry.split == 'trained']
    for package in dict.fromkeys(entry.package for entry in used):
        source = SOURCES.get(package)
        entries = [entry for entry in used if entry.package == package]
        if isinstance(source, PackageSource):
            files = '\n'.join(f'  {entry.file}' for entry in entries)
            head = f'{source.name} {source.version} ({source.licence})\n{files}\n'
            parts.append(f'{"=" * 72}\n{head}\n{source.licence_text()}')
        else:
            lines = '\n'.join(f'  {e.file} ({e.licence or "no licence stated"})' for e in entries)
            parts.append(f'{"=" * 72}\n{f"{package} {entries[0].version}".strip()}\n{lines}\n')
    return '\n'.join(parts)
