"""What importing the package adds to importing TorchGeo's models, or timm alone.

    python benchmarks/import_time.py

Fresh processes, every case in turn, so that a busy machine slows all alike.
"""

import argparse
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import timm
import torch
import torchgeo

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


def measure(first: str, then: str, before: str) -> list[float]:
    """Wall and CPU seconds in a fresh process: before, added, before, added."""
    program = _TIMED.format(first=first, then=then, before=before)
    done = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, check=True
    )
    return [float(number) for number in done.stdout.split()]


def row(label: str, runs: list[list[float]]) -> str:
    def cell(column: int) -> str:
        values = [run[column] for run in runs]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        return f'{statistics.mean(values):.3f} ± {spread:.3f}'

    return f'| {label} | {cell(3)} | {cell(1)} | {cell(2)} |\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--runs', type=int, default=7, help='processes a case, after one to warm up'
    )
    parser.add_argument('--out', type=Path, default=REPORT)
    arguments = parser.parse_args()
    for case in CASES.values():
        measure(*case)
    rounds = [[measure(*case) for case in CASES.values()] for _ in range(arguments.runs)]
    report = (
        '# What importing costs\n\n'
        f'Written by `python benchmarks/import_time.py`: seconds, mean ± standard deviation of '
        f'{arguments.runs} fresh processes a row. Python {platform.python_version()}, TorchGeo '
        f'{torchgeo.__version__}, timm {timm.__version__} with '
        f'{len(timm.list_models())} architectures, torch {torch.__version__}, '
        f'{time.strftime("%Y-%m-%d")}.\n\n'
        '| what is added | CPU s | wall s | CPU s of what was there before |\n|---|---|---|---|\n'
    )
    for index, label in enumerate(CASES):
        report += row(label, [each[index] for each in rounds])
    arguments.out.write_text(report)
    print(report)


if __name__ == '__main__':
    main()
