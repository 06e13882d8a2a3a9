"""``torchgeo-geosane examples``: the configs of the documentation and their data, out of the package."""

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from jsonargparse import ArgumentParser

from torchgeo_geosane.atomic import replacing_folder, sweep
from torchgeo_geosane.errors import CacheError
from torchgeo_geosane.foundry.files import printable

# A wheel has them inside of the package; a clone, beside it.
_PACKAGE = Path(__file__).parents[1]
_PLACES = (_PACKAGE / '_examples', _PACKAGE.parent / 'examples')
_QUICKSTART = 'quickstart.yaml'


def run_examples(arguments: Sequence[str]) -> None:
    """Parse the arguments of ``examples``, copy, and say what comes next."""
    parser = ArgumentParser(
        prog='torchgeo-geosane examples',
        description='Copy the example configs, with the data of the quickstart, into a folder.',
    )
    parser.add_argument(
        '--to', type=Path, required=True, metavar='DIR', help='a folder that is new or empty'
    )
    folder = parser.parse_args(list(arguments)).to
    count = copy_examples(folder)
    print(f'{printable(folder / "examples")}: {count} files. Now run the quickstart:')
    print(f'  cd {shlex.quote(str(folder))}')
    print(f'  torchgeo-geosane fit --config examples/{_QUICKSTART}')


def copy_examples(to: Path) -> int:
    """Copy the examples into the folder ``examples`` of another, all of them or none.

    Paths in the configs are relative to that other folder: commands are run in it.

    Args:
        to: A folder that does not exist yet, or is empty.

    Returns:
        How many files were copied.

    Raises:
        CacheError: If something is in the way, the disk refuses, or the examples are not there.
    """
    source = next((place for place in _PLACES if (place / _QUICKSTART).is_file()), None)
    if source is None:
        raise CacheError(
            f'the examples are not in {_PLACES[0]}: reinstall torchgeo-geosane from its wheel'
        )
    sweep(to)
    if to.exists() and not (to.is_dir() and not any(to.iterdir())):
        what = 'is not empty' if to.is_dir() else 'is a file'
        raise CacheError(f'{printable(to)} {what}: name a new or empty folder with --to')
    # pip compiles what it installs, our one Python file among the examples, too.
    files = sorted(
        path.relative_to(source)
        for path in source.rglob('*')
        if path.is_file() and '__pycache__' not in path.parts
    )
    with replacing_folder(to / 'examples', [str(file) for file in files]) as provisional:
        for file in files:
            (provisional / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / file, provisional / file)
    return len(files)
