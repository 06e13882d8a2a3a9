"""Which start is best on the two real scenes? The comparisons of ``examples/compare``, for the docs.

    pip install -e ".[offline]"
    python benchmarks/compare.py --jobs 2

Does the runs that ``output/compare`` has no record of (an hour or two on two cores), and writes
docs/benchmarks/compare_{sentinel2_landuse,landsat7}.{md,csv}. The reports with figures stay in
``output/compare``.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import torch
from measure import machine

ROOT = Path(__file__).parents[1]
OUT = ROOT / 'docs' / 'benchmarks'
SCENES = ('sentinel2_landuse', 'landsat7')
MAIN = 'import sys; from torchgeo_geosane.cli import main; sys.exit(main())'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--jobs', type=int, default=os.cpu_count() or 1, help='runs at once')
    parser.add_argument('--report-only', action='store_true', help='of the runs there are')
    arguments = parser.parse_args()
    options = [f'--jobs={arguments.jobs}', *(['--report-only'] if arguments.report_only else [])]
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // arguments.jobs))
    for scene in SCENES:
        config = Path('examples', 'compare', f'{scene}.yaml')
        command = [sys.executable, '-c', MAIN, 'compare', f'--config={config}', *options]
        subprocess.run(command, cwd=ROOT, check=True)
        publish(scene, f'{machine()} Regenerate: `python benchmarks/compare.py`.')


def publish(scene: str, origin: str) -> None:
    """Copy a comparison's table and runs into the docs."""
    written = ROOT / 'output' / 'compare' / scene
    report = (written / 'table.md').read_text()
    (OUT / f'compare_{scene}.md').write_text(f'{origin}\n\n{report}')
    shutil.copyfile(written / 'runs.csv', OUT / f'compare_{scene}.csv')


if __name__ == '__main__':
    main()
