"""What surrounds a call has no say in its result.

torch keeps some of its state for each thread: modes (``torch.device(…)``, Lightning's
``init_module``), inference mode, gradients, autocast. So work is done in a thread of its own, which
begins without any of it. What belongs to the whole process is in :mod:`.numerics`; the default dtype
and the global generator are never asked.
"""

import contextvars
import ctypes
import functools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, ParamSpec, TypeVar

import torch

from torchgeo_geosane.foundry.numerics import plain_numerics

P = ParamSpec('P')
T = TypeVar('T')

_here = threading.local()


def isolated(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function: each call runs in a thread of its own, and its caller waits for it.

    A call from inside such a thread is a plain call. Ctrl-C stops the thread, too.
    """

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        work = functools.partial(function, *args, **kwargs)
        return work() if getattr(_here, 'is_own_thread', False) else _in_own_thread(work)

    return run


def _in_own_thread(work: Callable[[], T]) -> T:
    outcome: Future[T] = Future()
    context = contextvars.copy_context()
    # torch keeps the current GPU for each thread, too; this one is the caller's choice.
    cuda: Any = torch.cuda
    gpu = cuda.current_device() if cuda.is_initialized() else None

    def run() -> None:
        _here.is_own_thread = True
        try:
            if gpu is not None:
                cuda.set_device(gpu)
            with plain_numerics():
                outcome.set_result(context.run(work))
        except BaseException as error:
            outcome.set_exception(error)

    thread = threading.Thread(target=run, name='torchgeo-geosane', daemon=True)
    try:
        thread.start()
        return outcome.result()
    except BaseException:
        if not outcome.done():  # The caller was interrupted, not the work.
            stop, number = ctypes.pythonapi.PyThreadState_SetAsyncExc, thread.ident or 0
            stop(ctypes.c_ulong(number), ctypes.py_object(KeyboardInterrupt))
            thread.join()
        raise
