"""The command line: ``torchgeo-geosane``.

``fit``, ``validate``, ``test`` and ``predict`` are TorchGeo's own, with generated weights known;
the rest is ours.
"""

import sys
from collections.abc import Sequence

from torchgeo_geosane.errors import GeoSANEError

_TRAINER_COMMANDS = ('fit', 'validate', 'test', 'predict')


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        args: Arguments; those of the process by default.

    Returns:
        The exit status: 0, 2 where the user can mend what is wrong, 130 after Ctrl-C.
    """
    arguments = list(sys.argv[1:] if args is None else args)
    try:
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
    except GeoSANEError as error:
        print(f'torchgeo-geosane: error: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print('torchgeo-geosane: interrupted', file=sys.stderr)
        return 130
    except BrokenPipeError:  # The reader, a pager or `head`, has seen enough.
        sys.stderr.close()
    return 0
