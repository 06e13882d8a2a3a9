"""The command line: ``torchgeo-geosane``.

``fit``, ``validate``, ``test`` and ``predict`` are TorchGeo's own, with generated weights known;
the rest is ours.
"""

import io
import sys
import warnings
from collections.abc import Sequence

from torchgeo_geosane.cli.configs import check_configs
from torchgeo_geosane.errors import GeoSANEError
from torchgeo_geosane.foundry.files import printable, reason

_TRAINER_COMMANDS = ('fit', 'validate', 'test', 'predict')


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        args: Arguments; those of the process by default.

    Returns:
        The exit status: 0, 2 where the user can mend what is wrong, 130 after Ctrl-C.
    """
    arguments = list(sys.argv[1:] if args is None else args)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors='backslashreplace')  # Names of files need not be text.
    try:
        check_configs(arguments)
        with warnings.catch_warnings():
            # Of kornia's own functions, on every start; nobody who reads it can mend it.
            warnings.filterwarnings('ignore', r'`torch\.jit\.script` is deprecated', FutureWarning)
            _run(arguments)
    except GeoSANEError as error:
        print(f'torchgeo-geosane: error: {error}', file=sys.stderr)
        return 2
    except BrokenPipeError:  # The reader, a pager or `head`, has seen enough.
        sys.stderr.close()
    except OSError as error:
        if arguments[:1] and arguments[0] in _TRAINER_COMMANDS:
            raise  # It may come from anybody's code: where from counts.
        named = f'{printable(error.filename)}: ' if error.filename else ''
        print(f'torchgeo-geosane: error: {named}{reason(error)}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print('torchgeo-geosane: interrupted', file=sys.stderr)
        return 130
    return 0


def _run(arguments: list[str]) -> None:
    """Run the subcommand; each is imported late, because that takes seconds."""
    if arguments[:1] == ['predict'] and {'--scene', '--options', '--help', '-h'} & {
        each.partition('=')[0] for each in arguments
    }:
        from torchgeo_geosane.cli.predicting import predict_scenes

        predict_scenes(arguments[1:])
    elif arguments and arguments[0] in _TRAINER_COMMANDS:
        from torchgeo_geosane.cli.trainer import run

        run(arguments)
    else:
        from torchgeo_geosane.cli.parser import run_command

        run_command(arguments)
