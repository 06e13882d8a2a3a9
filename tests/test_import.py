import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import torchgeo_geosane

PACKAGE = Path(torchgeo_geosane.__file__).parent

# Runs in a process of its own, where nothing is imported yet.
_WATCHED_IMPORT = """
import json, os, socket, sys, tempfile

events = []

def watch(event, arguments):
    if event.startswith('socket.') and watching:
        events.append([event, repr(arguments)])
    if event == 'open' and watching:
        path, mode, flags = arguments
        writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
        if isinstance(flags, int) and flags & writing:
            events.append([event, repr(arguments)])

def refuse(*arguments, **keywords):
    raise OSError('no sockets here')

watching = False
sys.dont_write_bytecode = True
import torchgeo.models
from lightning.pytorch.cli import LightningCLI
socket.socket.__init__ = refuse
sys.addaudithook(watch)
watching = True
before = set(sys.modules)
import torchgeo_geosane
watching = False
from torchgeo.models import get_weight
heavy = {'onnx', 'tflite', 'jsonargparse', 'matplotlib.pyplot', 'torch_pruning', 'scipy.optimize'}
print(json.dumps({
    'events': events,
    'found': str(get_weight('GeoSANE_ResNet50_Weights.SENTINEL2_ALL')),
    'heavy': sorted(heavy & (set(sys.modules) - before)),
    'cache': os.path.exists(os.environ['TORCHGEO_GEOSANE_CACHE']),
}))
"""


def test_import_opens_no_socket_and_writes_no_file() -> None:
    done = subprocess.run(
        [sys.executable, '-c', _WATCHED_IMPORT], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        'events': [],
        'found': 'GeoSANE_ResNet50_Weights.SENTINEL2_ALL',
        'heavy': [],
        'cache': False,
    }


def test_public_names() -> None:
    for name in torchgeo_geosane.__all__:
        assert getattr(torchgeo_geosane, name).__doc__


# The rooms of the design, from the bottom up. A room imports from those below it alone, and from
# itself; errors may be raised anywhere above the foundry.
_FLOORS: list[set[str]] = [
    {'foundry'},
    {'errors'},
    {'construction', 'exchange'},
    {'places'},
    {'sensors', 'architectures', 'atomic', 'pages', 'processes'},
    {'packages'},
    {'stem', 'transforms', 'models'},
    {'prompts'},
    {'spec'},
    {'provenance'},
    {'cache', 'candidate'},
    {'alignment'},
    {'generate'},
    {'export'},
    {'providers'},
    {'collection', 'datasets'},
    {'datamodules'},
    {'tasks'},
    {'predict'},
    {'callbacks', 'training'},
    {'atlas', 'compare', 'describe'},
    {'rank'},
    {'cli'},
]
_LEVEL = {room: level for level, rooms in enumerate(_FLOORS) for room in rooms}
_ROOMS = sorted(
    path.stem
    for path in PACKAGE.iterdir()
    if (path.suffix == '.py' or (path / '__init__.py').exists()) and path.stem != '__init__'
)


def imported(file: Path) -> set[str]:
    """Full names of the modules that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{file}: imports are written in full'
            names |= {f'{node.module}.{alias.name}' for alias in node.names}
    return names


def files_of(room: str) -> list[Path]:
    return [
        path
        for path in PACKAGE.rglob('*.py')
        if path.relative_to(PACKAGE).parts[0].removesuffix('.py') == room
    ]


@pytest.mark.parametrize('room', _ROOMS)
def test_imports_point_one_way(room: str) -> None:
    assert room in _LEVEL, 'give the new room its place'
    for file in files_of(room):
        for name in imported(file):
            package, _, rest = name.partition('.')
            other = rest.partition('.')[0]
            if package != 'torchgeo_geosane' or other not in _LEVEL or other == room:
                continue
            assert _LEVEL[other] < _LEVEL[room], f'{file.relative_to(PACKAGE)} imports {name}'


def test_the_foundry_stands_alone() -> None:
    allowed = {'torch', 'safetensors', 'numpy', 'huggingface_hub'} | sys.stdlib_module_names
    for file in files_of('foundry'):
        for name in imported(file):
            own = name.startswith('torchgeo_geosane.foundry.')
            assert own or name.partition('.')[0] in allowed, f'{file.name} imports {name}'


def test_one_file_touches_torchgeos_tables() -> None:
    users = {
        str(file.relative_to(PACKAGE))
        for file in PACKAGE.rglob('*.py')
        if 'torchgeo.models.api' in imported(file) or '_model_weights' in file.read_text()
    }
    assert users == {'providers/torchgeo.py'}
