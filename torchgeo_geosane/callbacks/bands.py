"""A check, at the start, that data, task and weights mean the same bands."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from torchgeo_geosane.callbacks.band_lists import Delivered, Unknown, delivered_by, wanted_by
from torchgeo_geosane.callbacks.band_report import agree, explain
from torchgeo_geosane.callbacks.tasks import stacks_dates
from torchgeo_geosane.errors import DataError, did_you_mean

OnMismatch = Literal['error', 'warn']


class CheckBands(Callback):
    """Checks that data, task and weights agree on bands, their order and their number.

    A tensor of channels does not say which bands it holds. A network trains on bands in the wrong
    order without complaint, and never as well as it should: EuroSAT ends with B11, B12, B8A, while
    TorchGeo's Sentinel-2 weights have B8A behind B8. The names are compared when training,
    validation, test or prediction starts; the channels, on the first batch of each. What cannot be
    known is logged as not checked.

    Example:
        >>> Trainer(callbacks=[CheckBands(bands=['VV', 'VH'])])

    Args:
        bands: The names of the data's bands, in order; for data sets that do not say, and for
            transforms that add channels.
        on_mismatch: ``error`` raises :class:`~torchgeo_geosane.errors.DataError`, ``warn`` warns.
    """

    def __init__(
        self, bands: Sequence[str] | None = None, on_mismatch: OnMismatch = 'error'
    ) -> None:
        if on_mismatch not in get_args(OnMismatch):
            raise DataError(
                f'unknown on_mismatch {on_mismatch!r}{did_you_mean(on_mismatch, get_args(OnMismatch))}'
            )
        self.bands = None if bands is None else tuple(bands)
        self.on_mismatch = on_mismatch
        self._said: set[str] = set()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check the training data."""
        self._check_names(trainer, pl_module, trainer.train_dataloader)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check the validation data."""
        self._check_names(trainer, pl_module, trainer.val_dataloaders)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check the test data."""
        self._check_names(trainer, pl_module, trainer.test_dataloaders)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check the data to predict on."""
        self._check_names(trainer, pl_module, trainer.predict_dataloaders)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Check the channels of the first batch."""
        self._check_channels(pl_module, batch, batch_idx)

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Check the channels of the first batch."""
        self._check_channels(pl_module, batch, batch_idx)

    def on_test_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Check the channels of the first batch."""
        self._check_channels(pl_module, batch, batch_idx)

    def on_predict_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Check the channels of the first batch."""
        self._check_channels(pl_module, batch, batch_idx)

    def _check_names(self, trainer: Trainer, task: LightningModule, loaders: Any) -> None:
        wanted = wanted_by(task)
        if isinstance(wanted, Unknown):
            self._say_unchecked(wanted.why)
            return
        count, seen = len(wanted.bands), _channels_seen(task)
        if seen not in {None, count}:
            self._complain(
                f'{wanted.weights} are for {count} bands ({", ".join(wanted.bands)}), but the '
                f'model has {seen} input channels: its first layer cannot be theirs. '
                f'Set in_channels: {count}, or take weights for the bands of your data'
            )
        for delivered in self._delivered(trainer, loaders):
            if delivered.bands is None:
                self._say_unchecked(f'{delivered.name} does not say which bands it delivers')
            elif agree(wanted, delivered):
                self._say(
                    f'bands checked: {delivered.name} delivers what {wanted.weights} are for, '
                    f'{", ".join(delivered.bands)}'
                )
            else:
                self._complain(explain(wanted, delivered))

    def _check_channels(self, task: LightningModule, batch: Any, batch_idx: int) -> None:
        if batch_idx:
            return
        expected = task.hparams.get('in_channels')
        image = batch.get('image') if isinstance(batch, dict) else None
        if expected is None or image is None or len(image) == 0:
            what = 'the task has no in_channels' if expected is None else 'a batch has no "image"'
            self._say_unchecked(f'{what}, so the number of channels cannot be compared')
            return
        channels = image[0].shape[-3]
        dates = len(image[0]) if image[0].ndim == 4 else 1
        if expected not in {channels, dates * channels}:
            each = f' at each of {dates} dates' if dates > 1 else ''
            self._complain(
                f'the data deliver {channels} channels{each}, but the task has '
                f'in_channels={expected}: set in_channels: {channels}'
            )

    def _delivered(self, trainer: Trainer, loaders: Any) -> Iterator[Delivered]:
        datamodule = getattr(trainer, 'datamodule', None)
        # Ours state their bands; TorchGeo's hand them to the data set.
        configured = getattr(datamodule, 'bands', None) or getattr(datamodule, 'kwargs', {}).get(
            'bands'
        )
        for loader in loaders if isinstance(loaders, list | tuple) else [loaders]:
            for delivered in delivered_by(getattr(loader, 'dataset', loader)):
                if self.bands is not None:
                    yield replace(delivered, bands=self.bands)
                elif delivered.bands is None and isinstance(configured, list | tuple):
                    yield replace(delivered, bands=tuple(configured))
                else:
                    yield delivered

    def _complain(self, message: str) -> None:
        if self.on_mismatch == 'error':
            raise DataError(message)
        if message not in self._said:
            self._said.add(message)
            rank_zero_warn(message)

    def _say_unchecked(self, why: str) -> None:
        self._say(f'bands NOT checked: {why}')

    def _say(self, message: str) -> None:
        if message not in self._said:
            self._said.add(message)
            rank_zero_info(message)


def _channels_seen(task: LightningModule) -> int | None:
    """How many channels the model sees at once; None where the task does not say."""
    in_channels: int | None = task.hparams.get('in_channels')
    return 2 * in_channels if in_channels and stacks_dates(task) else in_channels
