"""What importing the package adds to importing TorchGeo's models.

    python benchmarks/import_time.py

Fresh processes, with and without the package in turn, so that a busy machine slows both alike.
"""

import argparse
import statistics
import subprocess
import sys

_TIMED = """
import time
start, cpu = time.perf_counter(), time.process_time()
import torchgeo.models
middle, middle_cpu = time.perf_counter(), time.process_time()
import torchgeo_geosane
end, end_cpu = time.perf_counter(), time.process_time()
print(middle - start, end - middle, middle_cpu - cpu, end_cpu - middle_cpu)
"""


def measure() -> list[float]:
    done = subprocess.run(
        [sys.executable, '-c', _TIMED], capture_output=True, text=True, check=True
    )
    return [float(number) for number in done.stdout.split()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--runs', type=int, default=7, help='processes measured, after one to warm up'
    )
    runs = parser.parse_args().runs
    measure()
    columns = zip(*(measure() for _ in range(runs)), strict=True)
    wall, added, cpu, added_cpu = (list(column) for column in columns)
    print(f'seconds, mean ± standard deviation of {runs} fresh processes')
    for label, values in (
        ('torchgeo.models, wall', wall),
        ('torchgeo.models, CPU', cpu),
        ('torchgeo_geosane adds, wall', added),
        ('torchgeo_geosane adds, CPU', added_cpu),
    ):
        spread = statistics.stdev(values) if runs > 1 else 0.0
        print(f'{label:<28}{statistics.mean(values):6.2f} ± {spread:.2f}')


if __name__ == '__main__':
    main()
