"""Work in threads, a few items ahead of whoever takes the results."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar('T')
R = TypeVar('R')


def ahead(work: Callable[[T], R], items: Iterable[T], most: int = 2) -> Iterator[R]:
    """Apply a function to items, one after the other, in a thread of its own.

    Items are taken here, by whoever asks for the next result. An error of the work is raised in
    its place; then, and where nobody asks any more, what has not begun is left.

    Args:
        work: Releases Python's lock, as GDAL does, or gains nothing.
        items: What to apply it to.
        most: How many may be waiting or done and not taken; it bounds the memory.

    Yields:
        Results in the order of the items.
    """
    with ThreadPoolExecutor(1, 'ahead') as pool:
        pending: deque[Future[R]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(work, item))
                if len(pending) > most:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
