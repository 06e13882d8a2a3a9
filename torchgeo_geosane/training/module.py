"""The Lightning module that trains a foundry."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor

from torchgeo_geosane.collection import ManifestEntry
from torchgeo_geosane.construction import construct
from torchgeo_geosane.errors import FoundryError
from torchgeo_geosane.foundry.autoencoder import WeightAutoencoder
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.foundry.loss import contrastive_loss, reconstruction_loss
from torchgeo_geosane.training.config import OptimisationConfig
from torchgeo_geosane.training.metrics import ErrorSums, Throughput, relative_errors
from torchgeo_geosane.training.sharding import shard
from torchgeo_geosane.training.store import TokenBatch
from torchgeo_geosane.training.windows import derive_seed


class FoundryTask(LightningModule):
    """Masked reconstruction of noisy windows plus contrast between two views (GeoSANE section 3).

    What it logs carries the number of optimiser steps done, and is written when a step is over: a
    resumed run logs what an uninterrupted one does.

    Attributes:
        model: The autoencoder.
        held_out_error: Relative error on held-out models when it was last measured; None before,
            or without such models.
    """

    def __init__(
        self,
        foundry: FoundryConfig,
        optimisation: OptimisationConfig,
        models: Sequence[ManifestEntry] = (),
    ) -> None:
        """Build the autoencoder.

        Args:
            foundry: Sizes and variants.
            optimisation: How it is trained.
            models: What validation measures it on, in the order of the data module's ``models``.

        Raises:
            FoundryError: If contrast is asked of a foundry without projection head.
        """
        super().__init__()
        if optimisation.gamma > 0 and not foundry.projection_dim:
            raise FoundryError(
                'gamma > 0 compares projections of views: the foundry needs a projection_dim > 0'
            )
        self._options = optimisation
        self._models = models
        self.model = construct(partial(WeightAutoencoder, foundry), optimisation.seed)
        if optimisation.gamma == 0 and foundry.projection_dim:
            # Processes that wait for each other's gradients would wait for the head's forever.
            self.model.projection_head.requires_grad_(False)
        self.held_out_error: float | None = None
        self._step_losses: list[dict[str, Tensor]] = []
        self._learning_rate = 0.0
        self._throughput = Throughput()
        self._errors = ErrorSums(len(models))

    def configure_model(self) -> None:
        """Share the weights out over the devices, once, where the strategy asks for it."""
        if self.device_mesh is not None and not hasattr(self.model, 'unshard'):
            shard(self.model, self.device_mesh['data_parallel'])

    def configure_optimizers(self) -> Any:
        """AdamW with a one-cycle learning rate over the trainer's ``max_steps``."""
        options = self._options
        optimizer = torch.optim.AdamW(
            self.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, options.learning_rate, total_steps=self.trainer.max_steps
        )
        return {'optimizer': optimizer, 'lr_scheduler': {'scheduler': schedule, 'interval': 'step'}}

    def losses(self, batch: TokenBatch, number: int) -> dict[str, Tensor]:
        """The loss of one micro-batch, as ``loss``, and what it is made of.

        Args:
            batch: The windows.
            number: Number of the micro-batch in the whole run, over all processes; decides the
                noise.
        """
        gamma = self._options.gamma
        tokens = batch['tokens']
        views = [tokens] if gamma == 0 else [tokens, batch.get('view', tokens)]
        clean = torch.cat(views)
        # A generator of its own, seeded by the number: a resumed run draws the same noise.
        generator = torch.Generator(clean.device)
        generator.manual_seed(derive_seed(self._options.seed, 'noise', number))
        noise = torch.randn(
            clean.shape, generator=generator, device=clean.device, dtype=clean.dtype
        )
        latents, output = self._autoencode(
            clean * (1 + self._options.noise * noise), batch, len(views)
        )
        mask = batch['mask'].repeat(len(views), 1, 1)
        reconstruction = reconstruction_loss(output, clean, mask, self._options.normalisation)
        if gamma == 0:
            return {'loss': reconstruction, 'reconstruction': reconstruction}
        first, second = self.model.project(latents).float().chunk(2)
        contrast, accuracy = contrastive_loss(first, second, self._options.temperature)
        return {
            'loss': (1 - gamma) * reconstruction + gamma * contrast,
            'reconstruction': reconstruction,
            'contrast': contrast,
            'contrast_accuracy': accuracy,
        }

    def on_train_start(self) -> None:
        """Begin to measure throughput."""
        self._throughput = Throughput()

    def training_step(self, batch: TokenBatch, batch_idx: int) -> Tensor:
        """The loss of one micro-batch."""
        number = batch_idx * self.trainer.world_size + self.global_rank
        if self.model.config.dropout:
            # Dropout draws from the global generator, which no checkpoint holds.
            torch.manual_seed(derive_seed(self._options.seed, 'dropout', number))
        losses = self.losses(batch, number)
        self._step_losses.append({name: value.detach() for name, value in losses.items()})
        self._learning_rate = self.trainer.optimizers[0].param_groups[0]['lr']
        self._throughput.add(batch)
        return losses['loss']

    def on_train_batch_end(self, outputs: Any, batch: TokenBatch, batch_idx: int) -> None:
        """Log a step whose last micro-batch this was, if it is time to."""
        if (batch_idx + 1) % self._options.accumulate:
            return
        if self.global_step % self._options.log_every == 0:
            self._log_step()
        self._step_losses.clear()

    def on_validation_epoch_start(self) -> None:
        """Forget the errors of the last validation."""
        self._errors = ErrorSums(len(self._models))

    def validation_step(self, batch: TokenBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Add up the squared errors of clean windows."""
        self._errors.add(self._autoencode(batch['tokens'], batch)[1], batch)

    def on_validation_epoch_end(self) -> None:
        """Log relative errors ``|y - x| / |x|``: see ``metrics.relative_errors``."""
        self._errors.sum_over_processes(self)
        errors = relative_errors(self._errors, self._models)
        self.held_out_error = errors.get('relative_error/held_out')
        shown = {name: error for name, error in errors.items() if name.count('/') == 1}
        self.log_dict(shown, prog_bar=True, logger=False, sync_dist=True)
        self._write(errors)
        self._throughput = Throughput()

    def _autoencode(
        self, tokens: Tensor, batch: TokenBatch, views: int = 1
    ) -> tuple[Tensor, Tensor]:
        """Latents and float32 reconstruction of one or more views of a batch, all in one pass."""
        # Positions are summed in float16, as the format has it, which autocast cannot handle.
        with torch.autocast(self.device.type, enabled=False):
            embedded = self.model.embed(batch['positions'], batch['kinds'])
        encoder, decoder = (embedding.repeat(views, 1, 1) for embedding in embedded)
        latents = self.model.encode_embedded(tokens, encoder)
        return latents, self.model.decode_embedded(latents, decoder).float()

    def _log_step(self) -> None:
        """Log the mean over the step's micro-batches and all processes."""
        names = list(self._step_losses[0])
        values = torch.stack([torch.stack(list(part.values())) for part in self._step_losses])
        means = self.trainer.strategy.reduce(values.mean(0), reduce_op='mean').tolist()
        losses = {f'train/{name}': mean for name, mean in zip(names, means, strict=True)}
        self.log('reconstruction', losses['train/reconstruction'], prog_bar=True, logger=False)
        self._write(
            losses
            | {'learning_rate': self._learning_rate}
            | self._throughput.rates(self.trainer.world_size)
        )
        self._throughput = Throughput()

    def _write(self, values: dict[str, float]) -> None:
        for logger in self.loggers:
            logger.log_metrics(values, step=self.global_step)
