"""Two names that change places in one step."""

from __future__ import annotations

import errno
import os
from typing import Final

from orlop._sys.handle import AT_FDCWD, call

_RENAME_EXCHANGE: Final = 2
_UNSUPPORTED: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})


def exchange(one: str, other: str) -> bool:
    """Let each of two paths mean what the other one meant; whether this can be done here.

    Raises:
        OSError: One does not exist, or may not be renamed.
    """
    try:
        call(
            "renameat2",
            AT_FDCWD,
            os.fsencode(one),
            AT_FDCWD,
            os.fsencode(other),
            _RENAME_EXCHANGE,
            path=other,
        )
    except AttributeError:  # a libc without it
        return False
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        return False
    return True
