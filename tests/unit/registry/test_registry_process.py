"""What a whole process does: start, and be interrupted."""

import signal
import subprocess
import sys
import threading

import pytest

from orlop.testing import faults

RESOLVE = """
import sys
from orlop.reference import Reference
from orlop.registry import RegistryClient

RegistryClient().resolve(Reference.parse(sys.argv[1]))
"""


def test_the_package_loads_no_network_library():
    code = "import sys, orlop.registry; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    loaded = set(result.stdout.split())
    assert loaded.isdisjoint({"urllib3", "ssl", "socket", "http.client", "email", "subprocess"})


@pytest.mark.parametrize(
    "fault",
    [faults.status(429, Retry_After="60"), faults.stall_after(0)],
    ids=["waiting to try again", "waiting for an answer"],
)
def test_an_interrupt_ends_all_waiting(registry, fault):
    registry.add_image("app", "1", [])
    registry.fail("head", faults.status(405))
    registry.fail("manifest", fault)
    process = subprocess.Popen(
        [sys.executable, "-c", RESOLVE, str(registry.reference("app", "1"))],
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            while len(registry.seen) < 2:
                assert process.poll() is None
                threading.Event().wait(0.01)
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=25)
        finally:
            process.kill()
    assert "KeyboardInterrupt" in stderr
