"""Marks for tests that need root or tools from outside; each skip says what is missing."""

from __future__ import annotations

import os
import shutil

import pytest


def needs_tools(*names):
    """The marks of a test that runs these programs."""
    missing = [name for name in names if shutil.which(name) is None]
    return [
        pytest.mark.interop,
        pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}"),
    ]


needs_root = [
    pytest.mark.privileged,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount and to make devices"),
]
