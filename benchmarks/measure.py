"""What the benchmarks of generation share: memory, the machine's name."""

import platform
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch


def memory(field: str) -> float:
    """One of the memory figures of this process (``RssAnon``, ``VmHWM``, …), in MB."""
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith(f'{field}:'):
            return int(line.split()[1]) / 1024
    raise SystemExit('this benchmark measures memory on Linux only')


@contextmanager
def peak_memory() -> Iterator[list[float]]:
    """The largest anonymous memory while the block runs, every 5 ms; the list's only entry, in MB.

    Anonymous is what no file backs: pages of a mapped file can be dropped at any time.
    """
    peak = [memory('RssAnon')]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            peak[0] = max(peak[0], memory('RssAnon'))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def machine(device: str = 'cpu') -> str:
    """The device, its threads, versions and the date: one line."""
    processor = platform.processor() or platform.machine()
    info = Path('/proc/cpuinfo')
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith('model name')]
        processor = names[0].split(':')[1].strip() if names else processor
    threads = torch.get_num_threads()
    name = torch.cuda.get_device_name() if device != 'cpu' else f'{processor}, {threads} thread(s)'
    versions = f'Python {platform.python_version()}, torch {torch.__version__}'
    return f'Device: {name}. {versions}, {time.strftime("%Y-%m-%d")}.'
