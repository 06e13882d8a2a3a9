"""What becomes of the processes of a comparison whose own process is killed."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

# A pool as `compare` has it, in the middle of a run.
POOL = """
import os, sys, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from torchgeo_geosane.processes import _begin

def work(path):
    open(path, 'w').write(str(os.getpid()))
    time.sleep(600)

if __name__ == '__main__':
    ProcessPoolExecutor(1, get_context('spawn'), _begin, (1,)).submit(work, sys.argv[1]).result()
"""


def test_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    script, told = tmp_path / 'pool.py', tmp_path / 'pid'
    script.write_text(POOL)
    with subprocess.Popen([sys.executable, str(script), str(told)]) as parent:
        assert _soon(lambda: told.exists() and told.read_text() != '')
        worker = int(told.read_text())
        assert _runs(worker)
        parent.kill()
    assert _soon(lambda: not _runs(worker))


def _runs(process: int) -> bool:
    try:
        state = Path(f'/proc/{process}/stat').read_text().rpartition(')')[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != 'Z'  # Dead, but not yet collected by whoever inherited it.


def _soon(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False
