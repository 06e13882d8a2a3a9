"""What surrounds a call has no say in its result.

torch keeps some of its state for each thread: modes (``torch.device(…)``, Lightning's
``init_module``), inference mode, gradients, autocast. So work is done in a thread of its own, which
has none of it. What belongs to the whole process is in :mod:`.numerics`; the default dtype and the
global generator are never asked.
"""

import contextvars
import ctypes
import functools
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

import torch

from torchgeo_geosane.foundry.numerics import plain_numerics

P = ParamSpec('P')
T = TypeVar('T')

_SECONDS_BETWEEN_LOOKS = 0.5
_here = threading.local()


def isolated(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function: each call runs in a thread of its own, and its caller waits for it.

    A call from inside such a thread is a plain call. Ctrl-C stops the work, too.
    """

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        work = functools.partial(function, *args, **kwargs)
        return work() if getattr(_here, 'is_own_thread', False) else _in_own_thread(work)

    return run


class _Worker:
    """A thread that works for one caller at a time, and is kept for the next.

    A thread that ends gives back MKL's memory, behind Python's back. A process that is forked at this
    moment, as a DataLoader forks its workers after weights were generated, has the list of this
    memory half changed, and its first product never returns.
    """

    def __init__(self) -> None:
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name='torchgeo-geosane', daemon=True)
        self._thread.start()

    def do(self, work: Callable[[], Any]) -> 'Future[Any]':
        """Begin to work."""
        outcome: Future[Any] = Future()

        def run() -> None:
            try:
                with plain_numerics():
                    result = work()
            except BaseException as error:
                outcome.set_exception(error)
            else:
                outcome.set_result(result)

        self._tasks.put(run)
        return outcome

    def dismiss(self) -> None:
        """End the thread, and the work that it is doing."""
        stop, number = ctypes.pythonapi.PyThreadState_SetAsyncExc, self._thread.ident or 0
        stop(ctypes.c_ulong(number), ctypes.py_object(KeyboardInterrupt))
        self._tasks.put(None)
        self._thread.join()

    def _run(self) -> None:
        _here.is_own_thread = True
        torch.set_flush_denormal(False)  # A new thread has its parent's.
        try:
            while (task := self._tasks.get()) is not None:
                task()
                del task  # Not kept until the next one.
        except KeyboardInterrupt:
            return


_idle: list[_Worker] = []
if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_idle.clear)  # Threads are not forked.


def _in_own_thread(work: Callable[[], T]) -> T:
    context = contextvars.copy_context()
    # torch keeps the current GPU for each thread, too; this one is the caller's choice.
    cuda: Any = torch.cuda
    gpu = cuda.current_device() if cuda.is_initialized() else None

    def run() -> T:
        if gpu is not None:
            cuda.set_device(gpu)
        return context.run(work)

    try:
        worker = _idle.pop()
    except IndexError:
        worker = _Worker()
    outcome = worker.do(run)
    try:
        while not outcome.done():  # A signal that comes just before the wait is seen after it.
            wait([outcome], timeout=_SECONDS_BETWEEN_LOOKS)
        return outcome.result()
    finally:
        if outcome.done():
            _idle.append(worker)
        else:  # The caller was interrupted, not the work.
            worker.dismiss()
