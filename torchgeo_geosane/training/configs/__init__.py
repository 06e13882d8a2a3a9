"""Configurations of a training that ship in the package, by name."""

from pathlib import Path

from torchgeo_geosane.errors import FoundryError, did_you_mean
from torchgeo_geosane.foundry.foundry import EMBEDDED

_FOLDER = Path(__file__).parent

CONFIGS: dict[str, Path] = {
    'embedded': EMBEDDED.parent / 'train.yaml',
    'base': _FOLDER / 'base.yaml',
    'paper': _FOLDER / 'paper.yaml',
}


def find_config(name: str) -> Path:
    """The file that a name or a path stands for.

    Raises:
        FoundryError: If there is none.
    """
    path = Path(name)
    if path.is_file():
        return path
    if name in CONFIGS:
        return CONFIGS[name]
    raise FoundryError(
        f'unknown configuration {name!r}, neither a file nor a name' + did_you_mean(name, CONFIGS)
    )
