"""Doing things as the root of a user namespace."""

from __future__ import annotations

import os


def enter() -> None:
    """Be root of a user namespace, if not root already.

    Raises:
        OrlopError: Namespaces are forbidden here, or there are no IDs for one.
    """
    if os.geteuid() == 0:
        return
    from orlop._sys.enter import enter_user_namespace

    enter_user_namespace()
