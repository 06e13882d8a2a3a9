"""TorchGeo's command line, with generated weights known to it, and a test at the end of a fit."""

import logging
from unittest.mock import patch

import torchgeo.main
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

logger = logging.getLogger(__name__)


class GeoSANECLI(LightningCLI):
    """TorchGeo's command line, whose ``fit`` goes on to test the best checkpoint."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Let the test be left out; a default, so that a config also serves the stock ``torchgeo fit``."""
        super().add_arguments_to_parser(parser)
        parser.add_argument(
            '--test_after_fit',
            type=bool,
            default=True,
            help='fit: test the best checkpoint afterwards',
        )

    def after_fit(self) -> None:
        """Test the best checkpoint, or the last state where none was written."""
        if not self._get(self.config['fit'], 'test_after_fit'):
            return
        best = getattr(self.trainer.checkpoint_callback, 'best_model_path', '') or None
        try:
            self.trainer.test(self.model, datamodule=self.datamodule, ckpt_path=best)
        except MisconfigurationException as error:
            logger.warning('Not tested: %s', error)
        if best:
            print(f'Checkpoint: {best}')


def run(arguments: list[str]) -> None:
    """Run one of TorchGeo's subcommands.

    Args:
        arguments: The subcommand and its arguments.
    """
    # TorchGeo's main sets up GDAL and the parser, differently on each version, and has no hook for a subclass.
    with patch.object(torchgeo.main, 'LightningCLI', GeoSANECLI):
        torchgeo.main.main(arguments)
