"""Train a foundry and write everything that tells how it came about."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback, TQDMProgressBar
from lightning.pytorch.loggers import Logger

from torchgeo_geosane.errors import FoundryError
from torchgeo_geosane.foundry.autoencoder import WeightAutoencoder
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.training.checkpoints import (
    CHECKPOINT,
    AtomicCheckpoints,
    BestWeights,
    Checkpoints,
    Progress,
    describe_run,
    read_start,
)
from torchgeo_geosane.training.config import CollectionConfig, HardwareConfig, OptimisationConfig
from torchgeo_geosane.training.data import FoundryDataModule
from torchgeo_geosane.training.linear import start_linear
from torchgeo_geosane.training.log import TrainingLog
from torchgeo_geosane.training.module import FoundryTask
from torchgeo_geosane.training.report import ModelReport
from torchgeo_geosane.training.results import FOUNDRY, write_results
from torchgeo_geosane.training.sharding import find_strategy


def train_foundry(
    foundry: FoundryConfig,
    collection: CollectionConfig,
    optimisation: OptimisationConfig,
    output: Path,
    hardware: HardwareConfig | None = None,
    start_from: str | None = None,
    logger: Logger | None = None,
    progress: bool = True,
) -> list[ModelReport]:
    """Train a foundry on a collection, or go on with a training that was interrupted.

    Writes ``foundry.safetensors`` (float16, without the projection head), ``training.csv``,
    ``manifest.jsonl``, ``report.json``, ``NOTICE`` (the models' licences) and ``checkpoint.ckpt``
    into ``output``. Where the checkpoint of an interrupted training lies there, the same call goes
    on from it, and on a CPU gives the same numbers as if nothing had happened.

    Args:
        foundry: Sizes and variants of the autoencoder.
        collection: The models it learns from, and those it is judged by.
        optimisation: How it is trained.
        output: Folder for the results; made if it is missing.
        hardware: What it is trained on; by default all devices of this machine.
        start_from: Weights to start from: the folder of another training, its checkpoint, or any
            name of a foundry.
        logger: A Lightning logger that gets what ``training.csv`` gets.
        progress: Whether to show a progress bar.

    Returns:
        Errors on every model, trained and held out; in all processes but the first, nothing.

    Raises:
        CollectionError: If a model is missing, damaged or named wrongly.
        FoundryError: If the configuration contradicts itself or the interrupted training, or if
            ``output`` holds a finished one.
        CacheError: If the disk refuses.
    """
    output = Path(output)
    if (output / FOUNDRY).exists():
        raise FoundryError(
            f'{output} holds a finished training: choose another output folder, or delete it'
        )
    data = FoundryDataModule(foundry, collection, optimisation)
    data.setup()
    if optimisation.keep_best and not data.held_out:
        raise FoundryError(
            'keep_best tells the best weights by models that are held out, and none is: hold some '
            'out, or turn it off'
        )
    task = FoundryTask(foundry, optimisation, [opened.entry for opened in data.models])
    run = describe_run(foundry, optimisation, start_from, data.models)
    interrupted = Progress.find(output)
    if interrupted:
        interrupted.check(run)
    else:
        _start(task.model, data, optimisation, start_from)
    log = TrainingLog(output / 'training.csv', interrupted.step if interrupted else None)
    checkpoints = Checkpoints(output / CHECKPOINT, optimisation.checkpoint_every, run)
    best = BestWeights() if optimisation.keep_best else None
    trainer = _trainer(
        optimisation,
        hardware or HardwareConfig(),
        data.steps,
        [log, *([logger] if logger else [])],
        [
            *([best] if best else []),
            checkpoints,
            *([TQDMProgressBar(optimisation.log_every)] if progress else []),
        ],
    )
    optimisation.micro_batch(trainer.world_size)
    if interrupted is None:
        # The log begins with the errors of the untrained start.
        trainer.validate(task, datamodule=data, verbose=False)
    trainer.fit(task, datamodule=data, ckpt_path=interrupted.path if interrupted else None)
    # Every process has its share of the weights, and gathers.
    state = trainer.strategy.lightning_module_state_dict()
    if not trainer.is_global_zero:
        return []
    kept = (best.weights if best else None) or state
    model = _gathered(foundry, kept, trainer.strategy.root_device)
    return write_results(
        output, model, data.models, collection, optimisation, checkpoints.seconds / 60
    )


def _start(
    model: WeightAutoencoder,
    data: FoundryDataModule,
    optimisation: OptimisationConfig,
    start_from: str | None,
) -> None:
    """Give a foundry the weights that training starts from."""
    if start_from is not None:
        # Only the projection head may be missing: it then starts anew.
        model.load_state_dict(read_start(start_from, model.config), strict=False)
    elif optimisation.linear_start:
        start_linear(model, (run for opened in data.trained for run in opened.runs()))


def _trainer(
    options: OptimisationConfig,
    hardware: HardwareConfig,
    steps: int,
    loggers: list[Logger],
    callbacks: list[Callback],
) -> Trainer:
    return Trainer(
        accelerator=hardware.accelerator,
        devices=hardware.devices,
        num_nodes=hardware.num_nodes,
        strategy=find_strategy(hardware),
        plugins=[AtomicCheckpoints()],
        max_steps=steps,
        max_epochs=1,
        precision=options.precision,
        accumulate_grad_batches=options.accumulate,
        gradient_clip_val=options.gradient_clip,
        val_check_interval=max(1, steps // options.validations) * options.accumulate,
        log_every_n_steps=options.log_every,
        num_sanity_val_steps=0,
        enable_progress_bar=any(isinstance(each, TQDMProgressBar) for each in callbacks),
        enable_model_summary=False,
        enable_checkpointing=False,
        logger=loggers,
        callbacks=callbacks,
    )


def _gathered(
    foundry: FoundryConfig, state: Mapping[str, Any], device: torch.device
) -> WeightAutoencoder:
    """The trained autoencoder, from the state of the Lightning module."""
    model = WeightAutoencoder(foundry)
    model.load_state_dict({key.removeprefix('model.'): value for key, value in state.items()})
    return model.to(device)
