"""Fail if importing the package opens a socket."""

import sys


def forbid(event: str, arguments: tuple[object, ...]) -> None:
    if event.startswith('socket.') and event != 'socket.gethostname':
        raise RuntimeError(f'the import did {event} {arguments}')


sys.addaudithook(forbid)

import torchgeo_geosane  # noqa: E402

print(f'torchgeo_geosane {torchgeo_geosane.__version__}: imported without a socket')
