"""Work in several processes at once, which share the cores and end where this one ends."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import TypeVar

import torch

T = TypeVar('T')
R = TypeVar('R')

DIED = 'its process died: was there enough memory?'


def in_processes(
    work: Callable[[T], R], items: Sequence[T], jobs: int
) -> Iterator[tuple[T, R | None]]:
    """Apply a function to items in long-lived processes.

    A process that dies (the kernel kills what needs too much memory) takes the items with it that
    were worked on; the others go on in new processes. All end where this one ends, however it does.

    Args:
        work: Raises nothing: what goes wrong is part of its result.
        items: What to apply it to.
        jobs: Processes at once.

    Yields:
        Each item with its result, as they end; None where a process died.
    """
    # What torch would take here: all cores, or as many as OMP_NUM_THREADS says.
    threads = max(1, torch.get_num_threads() // jobs)
    waiting = list(reversed(items))
    while waiting:
        pool = ProcessPoolExecutor(jobs, get_context('spawn'), _begin, (threads,))
        running: dict[Future[R], T] = {}
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    future = pool.submit(work, waiting[-1])
                    running[future] = waiting.pop()
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    item = running[future]
                    result = future.result()
                    del running[future]
                    yield item, result
        except BrokenProcessPool:
            for item in running.values():
                yield item, None
        finally:
            pool.shutdown(cancel_futures=True)


def _begin(threads: int) -> None:
    """Prepare a process: it has its share of the cores, and does not outlive its parent."""
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process as soon as the one that started it has: else it would wait for work forever."""
    parent = parent_process()
    assert parent is not None, 'a process of the pool has a parent'
    parent.join()
    os._exit(1)
