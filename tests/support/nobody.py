"""Work done without privilege, also where the tests run as root.

with unprivileged_place() as place:
    outcome = as_nobody(StoreUnderTest(place).orlop, "images")
"""

from __future__ import annotations

import importlib
import os
import pickle
import pkgutil
import shutil
import subprocess
import tempfile
import traceback
import warnings
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import orlop

NOBODY = 65534
_USED_LATE = ("encodings.ascii", "encodings.latin_1", "encodings.idna", "rich.console")


@contextmanager
def unprivileged_place():
    """A directory that belongs to who does the work, and is gone afterwards."""
    place = Path(tempfile.mkdtemp(prefix="orlop-nobody-"))
    try:
        if os.geteuid() == 0:
            os.chown(place, NOBODY, NOBODY)
        yield place
    finally:
        if os.geteuid() != 0:
            subprocess.run(["chmod", "-R", "u+rwX", place], check=True)
        shutil.rmtree(place)


def as_nobody(function, *arguments):
    """What the function returns, or raises, in a process that is nobody."""
    if os.geteuid() != 0:
        return function(*arguments)
    load_everything()
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside other threads
        child = os.fork()
    if child == 0:
        try:
            _become_nobody()
            result = (True, function(*arguments))
        except BaseException as error:
            result = (False, f"{error!r}\n{traceback.format_exc()}")
        with os.fdopen(writing, "wb") as pipe:
            pickle.dump(result, pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    os.waitpid(child, 0)
    done, result = pickle.loads(data)
    assert done, result
    return result


def _become_nobody():
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    os.environ.pop("XDG_RUNTIME_DIR", None)


@cache
def load_everything():
    """Import all of orlop and what it uses late: nobody may not be able to read it."""
    for module in pkgutil.walk_packages(orlop.__path__, "orlop."):
        importlib.import_module(module.name)
    for module in _USED_LATE:
        importlib.import_module(module)
