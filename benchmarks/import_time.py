"""What importing the package adds to importing TorchGeo's models, or timm alone.

    python benchmarks/import_time.py [PYTHON ...]

In this environment, or in those of the interpreters. Fresh processes, every case in turn, so that a
busy machine slows all alike; CPU seconds are what counts.
"""

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

from measure import machine

REPORT = Path(__file__).parent.parent / 'docs' / 'benchmarks' / 'import_time.md'

_TIMED = """
import sys, time
{before}
start, cpu = time.perf_counter(), time.process_time()
import {first}
middle, middle_cpu = time.perf_counter(), time.process_time()
{then}
end, end_cpu = time.perf_counter(), time.process_time()
print(middle - start, end - middle, middle_cpu - cpu, end_cpu - middle_cpu)
"""
_VERSIONS = """
import platform, importlib.metadata, timm
told = [f'Python {platform.python_version()}']
told += [f'{name} {importlib.metadata.version(name)}' for name in ('torchgeo', 'timm', 'torch')]
print(f'{", ".join(told)}; {len(timm.list_models())} architectures')
"""
HEADER = '| what is added | CPU s | wall s | CPU s of what was there before |\n|---|---|---|---|\n'
_HIDE_TORCHGEO = "sys.modules['torchgeo'] = None"
# What is timed, what is imported before it, and what hides the rest.
CASES = {
    'the package, after `torchgeo.models`': ('torchgeo.models', 'import torchgeo_geosane', ''),
    'the package, after `timm`, without TorchGeo': (
        'timm, lightning',
        'import torchgeo_geosane.providers.timm',
        _HIDE_TORCHGEO,
    ),
    'a name for each architecture of timm (part of both)': (
        'torchgeo_geosane.providers.geosane as door',
        'import warnings; warnings.simplefilter("ignore"); door.register()',
        _HIDE_TORCHGEO,
    ),
}


def run(python: str, program: str) -> str:
    """What a fresh process prints."""
    command = [python, '-W', 'ignore', '-c', program]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def measure(python: str, first: str, then: str, before: str) -> list[float]:
    """Wall and CPU seconds in a fresh process: before, added, before, added."""
    printed = run(python, _TIMED.format(first=first, then=then, before=before))
    return [float(number) for number in printed.split()]


def row(label: str, runs: list[list[float]]) -> str:
    def cell(column: int) -> str:
        values = [run[column] for run in runs]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        return f'{statistics.mean(values):.3f} ± {spread:.3f}'

    return f'| {label} | {cell(3)} | {cell(1)} | {cell(2)} |\n'


def table(python: str, runs: int) -> str:
    """What importing adds in one environment."""
    for case in CASES.values():
        measure(python, *case)
    rounds = [[measure(python, *case) for case in CASES.values()] for _ in range(runs)]
    rows = [row(label, [each[index] for each in rounds]) for index, label in enumerate(CASES)]
    return f'**{run(python, _VERSIONS).strip()}**\n\n{HEADER}{"".join(rows)}'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('python', nargs='*', default=[sys.executable])
    parser.add_argument(
        '--runs', type=int, default=7, help='processes a case, after one to warm up'
    )
    options = parser.parse_args()
    tables = '\n'.join(table(python, options.runs) for python in options.python)
    REPORT.write_text(
        f'{machine()} Seconds, mean ± standard deviation of {options.runs} fresh processes a row. '
        f'Regenerate: `python benchmarks/import_time.py`.\n\n{tables}'
    )
    print(REPORT.read_text())


if __name__ == '__main__':
    main()
