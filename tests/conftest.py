"""What every test may rely on, however the tests were started."""

import signal

import pytest

pytest.register_assert_rewrite("orlop.testing")


def pytest_configure():
    """Let children be interrupted: who is started in the background has SIGINT ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
