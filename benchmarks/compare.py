"""Which start is best on the two real scenes? The comparisons of ``examples/compare``, for the docs.

    pip install -e ".[offline]"
    python benchmarks/compare.py --jobs 2

Does the runs that ``output/compare`` has no record of (some three hours on two cores), and writes
docs/benchmarks/compare_*.{md,csv}. The reports with figures stay in ``output/compare``. Names as
arguments do some of the comparisons only; ``ensemble`` wants kelp's wheel, see its configuration.
"""

import argparse
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from measure import machine

ROOT = Path(__file__).parents[1]
EXAMPLES = Path('examples', 'compare')
OUTPUT = Path('output', 'compare')
OUT = ROOT / 'docs' / 'benchmarks'
MAIN = 'import sys; from torchgeo_geosane.cli import main; sys.exit(main())'


@dataclass(frozen=True)
class Comparison:
    """A configuration of ``examples/compare``, and what is asked beyond it."""

    config: str
    options: tuple[str, ...] = ()


_FOUR = ('--init', 'scratch', 'prompt', 'soup', 'generated')
# The averages of prompts are what generated weights are compared with, too.
_AVERAGES = '--references=["scratch", "prompt", "soup", "greedy_soup"]'
COMPARISONS = {
    'sentinel2_landuse': Comparison('sentinel2_landuse', (_AVERAGES,)),
    'landsat7': Comparison('landsat7', (_AVERAGES,)),
    'lightweight': Comparison('lightweight'),
    'ensemble': Comparison('ensemble', ('--seeds=5',)),
    'linear_probe': Comparison('landsat7', ('--methods=["linear_probe"]', *_FOUR)),
    'tenth': Comparison('landsat7', ('--fractions=[0.1]', *_FOUR)),
    'hundredth': Comparison('landsat7', ('--fractions=[0.01]', *_FOUR)),
    'conditioned': Comparison('landsat7', ('--conditioned=[true]', *_FOUR)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('names', nargs='*', help=f'of {", ".join(COMPARISONS)}; by default all')
    parser.add_argument('--jobs', type=int, default=os.cpu_count() or 1, help='runs at once')
    parser.add_argument('--report-only', action='store_true', help='of the runs there are')
    arguments = parser.parse_args()
    options = [f'--jobs={arguments.jobs}', *(['--report-only'] if arguments.report_only else [])]
    torch.set_num_threads(max(1, torch.get_num_threads() // arguments.jobs))  # Those of a run.
    for name in arguments.names or COMPARISONS:
        run(name, COMPARISONS[name], options)
        publish(name, f'{machine()} Regenerate: `python benchmarks/compare.py {name}`.')


def run(name: str, comparison: Comparison, options: list[str]) -> None:
    """Do what is lacking of a comparison, and write its report."""
    if comparison.config == 'lightweight':
        subprocess.run([sys.executable, EXAMPLES / 'small_prompt.py'], cwd=ROOT, check=True)
    command = [
        sys.executable,
        '-c',
        MAIN,
        'compare',
        f'--config={EXAMPLES / comparison.config}.yaml',
    ]
    command += [f'--output={OUTPUT / name}', *comparison.options, *options]
    subprocess.run(command, cwd=ROOT, check=True)


def publish(name: str, origin: str) -> None:
    """Copy a comparison's table and runs into the docs."""
    written = ROOT / OUTPUT / name
    report = (written / 'table.md').read_text()
    (OUT / f'compare_{name}.md').write_text(f'{origin}\n\n{report}')
    shutil.copyfile(written / 'runs.csv', OUT / f'compare_{name}.csv')


if __name__ == '__main__':
    main()
