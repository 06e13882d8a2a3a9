"""The Lightning module that trains a foundry."""

from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor

from torchgeo_geosane.errors import FoundryError
from torchgeo_geosane.foundry.autoencoder import WeightAutoencoder
from torchgeo_geosane.foundry.config import FoundryConfig
from torchgeo_geosane.foundry.loss import contrastive_loss, reconstruction_loss
from torchgeo_geosane.training.config import OptimisationConfig
from torchgeo_geosane.training.data import TokenBatch, derive_seed

SPLITS = ('trained', 'held_out')


class FoundryTask(LightningModule):
    """Masked reconstruction of noisy windows plus contrast between two views (GeoSANE section 3).

    Attributes:
        model: The autoencoder.
    """

    def __init__(self, foundry: FoundryConfig, optimisation: OptimisationConfig) -> None:
        """Build the autoencoder.

        Raises:
            FoundryError: If contrast is asked of a foundry without projection head.
        """
        super().__init__()
        if optimisation.gamma > 0 and not foundry.projection_dim:
            raise FoundryError(
                'gamma > 0 compares projections of views: the foundry needs a projection_dim > 0'
            )
        self._options = optimisation
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(optimisation.seed)
            self.model = WeightAutoencoder(foundry)
        self._noise = torch.Generator()
        self._errors = [(torch.zeros(()), torch.zeros(())) for _ in SPLITS]

    def training_step(self, batch: TokenBatch, batch_idx: int) -> Tensor:
        """The loss of one batch."""
        # A generator of its own, seeded by the step: a resumed run draws the same noise.
        self._noise.manual_seed(derive_seed(self._options.seed, 'noise', self.global_step))
        first, reconstruction = self._reconstruct(batch)
        if self._options.gamma == 0:
            self._log('reconstruction', reconstruction)
            return reconstruction
        second, again = self._reconstruct(batch)
        contrast, accuracy = contrastive_loss(
            self.model.project(first).float(),
            self.model.project(second).float(),
            self._options.temperature,
        )
        reconstruction = (reconstruction + again) / 2
        self._log('reconstruction', reconstruction)
        self._log('contrast', contrast)
        self._log('contrast_accuracy', accuracy)
        return (1 - self._options.gamma) * reconstruction + self._options.gamma * contrast

    def on_validation_epoch_start(self) -> None:
        """Forget the errors of the last validation."""
        self._errors = [(torch.zeros(()), torch.zeros(())) for _ in SPLITS]

    def validation_step(self, batch: TokenBatch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Add up the squared errors of clean windows."""
        embedding = self._embed(batch)
        latents = self.model.encode_embedded(batch['tokens'], embedding[0])
        output = self.model.decode_embedded(latents, embedding[1]).float()
        error, size = self._errors[dataloader_idx]
        squared = (output - batch['tokens']).square()[batch['mask']].sum().cpu()
        self._errors[dataloader_idx] = (
            error + squared,
            size + batch['tokens'].square().sum().cpu(),
        )

    def on_validation_epoch_end(self) -> None:
        """Log the relative error ``|y - x| / |x|`` of each split."""
        for split, (error, size) in zip(SPLITS, self._errors, strict=True):
            if size > 0:
                self.log(f'relative_error/{split}', (error / size).sqrt(), prog_bar=True)

    def configure_optimizers(self) -> Any:
        """AdamW with a one-cycle learning rate."""
        options = self._options
        optimizer = torch.optim.AdamW(
            self.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, options.learning_rate, total_steps=options.steps
        )
        return {'optimizer': optimizer, 'lr_scheduler': {'scheduler': schedule, 'interval': 'step'}}

    def _reconstruct(self, batch: TokenBatch) -> tuple[Tensor, Tensor]:
        """Latents of one noisy view, and its reconstruction loss against the clean tokens."""
        tokens = batch['tokens']
        noise = torch.randn(tokens.shape, generator=self._noise).to(tokens)
        embedding = self._embed(batch)
        latents = self.model.encode_embedded(
            tokens * (1 + self._options.noise * noise), embedding[0]
        )
        output = self.model.decode_embedded(latents, embedding[1]).float()
        loss = reconstruction_loss(output, tokens, batch['mask'], self._options.normalisation)
        return latents, loss

    def _log(self, name: str, value: Tensor) -> None:
        self.log(f'train/{name}', value, prog_bar=name == 'reconstruction')

    def _embed(self, batch: TokenBatch) -> tuple[Tensor, Tensor]:
        # Positions are summed in float16, as the format has it, which autocast cannot handle.
        with torch.autocast(self.device.type, enabled=False):
            return self.model.embed(batch['positions'], batch['kinds'])
