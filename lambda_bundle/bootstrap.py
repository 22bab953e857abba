"""What a Lambda runtime starts: sets the search path, then hands over to awslambdaric.

Nobody imports this: `smoke` copies it to where /var/runtime stands and runs it there, in the interpreter of
the target. It stands in for the runtime's own /var/runtime/bootstrap.py, and does what
https://docs.aws.amazon.com/lambda/latest/dg/python-package.html#python-package-searchpath says of it.
"""

from __future__ import annotations

import errno
import os
import site
import sys
import traceback
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

LIBRARIES = "LAMBDA_RUNTIME_DIR"
"""Names the folder of awslambdaric and boto3."""
FAULT = "fault.txt"
"""Where the traceback of what went wrong at import goes, beside this file: awslambdaric swallows it."""


def search_path(root: str, libraries: str, opt: str, before: list[str], *, chosen: bool) -> list[str]:
    """The order in which Lambda looks for modules.

    First the function, then its layers, what the runtime brings, and the standard library (`before`). With a
    PYTHONPATH of the user's own (`chosen`) Lambda leaves the layers to that.
    """
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    layers = [] if chosen else [f"{opt}/python/lib/{version}/site-packages", f"{opt}/python"]
    return [root, *layers, libraries, *before]


def main() -> None:
    """Run the handler that the environment names, for ever."""
    here = Path(__file__).parent
    libraries, root = os.environ[LIBRARIES], os.environ["LAMBDA_TASK_ROOT"]
    chosen = "PYTHONPATH" in os.environ
    for name in ("setquit", "setcopyright", "sethelper"):  # what importing site does, without site-packages
        getattr(site, name)()
    if "LD_PRELOAD" not in os.environ:  # otherwise the user may have brought semaphores that need no /dev/shm
        _without_semaphores()
    before = [path for path in sys.path if path != str(here)]
    # As in the runtime: awslambdaric is there before the function's own folder is looked into.
    sys.path[:] = [libraries, *before]
    from awslambdaric import __main__ as runtime  # noqa: PLC0415
    from awslambdaric import bootstrap  # noqa: PLC0415

    opt = str(here.parent.parent / "opt")
    sys.path[:] = search_path(root, libraries, opt, before, chosen=chosen)
    for folder in sys.path[: 1 if chosen else 3]:
        site.addsitedir(folder)  # .pth files of the function and its layers are heeded
    os.environ.setdefault("PYTHONPATH", libraries)
    resolve = getattr(bootstrap, "_get_handler", None)
    if resolve is not None:
        # There is no public way to learn what awslambdaric has caught; without this one, only that is lost.
        bootstrap._get_handler = lambda handler: _noting(resolve, handler, here)  # noqa: SLF001
    sys.argv[:] = [str(here / "bootstrap.py"), os.environ["_HANDLER"]]
    runtime.main([root, os.environ["_HANDLER"]])


def _without_semaphores() -> None:
    """Let what needs semaphores shared between processes fail as on Lambda, which has no /dev/shm.

    There `Lock`, `Queue` and `Pool` of multiprocessing raise this; `Process` and `Pipe` work
    (https://aws.amazon.com/blogs/compute/parallel-processing-in-python-with-aws-lambda/).
    """
    try:
        native: Any = import_module("_multiprocessing")
    except ImportError:  # this Python was built without it
        return
    native.SemLock = type("SemLock", (native.SemLock,), {"__new__": _not_there})


def _not_there(*_: object, **__: object) -> NoReturn:
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def _noting(resolve: object, handler: str, here: Path) -> object:
    """Resolve the handler as awslambdaric does; of an error in the user's code, keep the traceback."""
    try:
        return resolve(handler)  # type: ignore[operator]
    except BaseException as error:
        told = _told(error, here)
        (here / FAULT).write_text(told, encoding="utf-8", errors="backslashreplace")
        raise


def _told(error: BaseException, here: Path) -> str:
    """The traceback as the user's code sees it: without awslambdaric and the machinery of import."""
    ours = (
        str(here),
        os.environ[LIBRARIES],
        "<frozen importlib",
        str(Path(os.__file__).with_name("importlib")),
    )
    if type(error).__module__.startswith("awslambdaric"):  # its own error, raised because of another
        cause = error.__context__
        if not isinstance(cause, (ImportError, SyntaxError)):
            return ""
        error = cause
    told = traceback.TracebackException(type(error), error, _inner(error.__traceback__, ours))
    return "".join(told.format())


def _inner(trace: TracebackType | None, ours: tuple[str, ...]) -> TracebackType | None:
    """The part of a traceback that begins in the user's code."""
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(ours):
        trace = trace.tb_next
    return trace


if __name__ == "__main__":
    main()
