"""TorchGeo's command line, with generated weights known to it."""

from torchgeo.main import main as torchgeo_main

import torchgeo_geosane  # noqa: F401  Registers the provider.


def run(arguments: list[str]) -> None:
    """Run one of TorchGeo's subcommands.

    Args:
        arguments: The subcommand and its arguments.
    """
    torchgeo_main(arguments)
