"""What every test may rely on, however the tests were started."""

import signal
from pathlib import Path

import pytest

GROUPS = {"interop": "peers", "stress": "peers", "privileged": "machine"}
"""What of the tests that use the machine runs one after another, when others run beside."""

pytest.register_assert_rewrite("orlop.testing")


def pytest_configure():
    """Let children be interrupted: who is started in the background has SIGINT ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before xdist looks at the groups
def pytest_collection_modifyitems(items):
    """Keep those apart that would get into each other's way: peers, mounts, a loaded machine."""
    here = Path(__file__).parent
    for item in items:
        group = GROUPS.get(item.path.relative_to(here).parts[0])
        if group is not None:
            item.add_marker(pytest.mark.xdist_group(group))
