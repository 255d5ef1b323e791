import json
import os
import re

import pytest

from orlop.drivers import Capabilities, Capability, probe, probe_erofs
from orlop.drivers.probing import _trial, are_trials_over

NAMES = [
    "mount", "user_namespaces", "erofs", "erofs_file", "erofs_loop", "overlay", "overlay_lowers",
]  # fmt: skip


def test_everything_has_an_answer_and_a_reason(tmp_path):
    found = probe(tmp_path)
    assert found.kernel == os.uname().release
    assert [name for name, _ in found] == NAMES
    for _, capability in found:
        assert isinstance(capability.works, bool)
        assert re.fullmatch(r"\S[^\n]*", capability.reason)
        assert str(tmp_path) not in capability.reason


def test_it_leaves_nothing_behind(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    probe(tmp_path)
    assert os.listdir(tmp_path) == []
    assert len(os.listdir("/proc/self/fd")) == before


def test_whether_something_is_tried_just_now_can_be_told(tmp_path):
    assert are_trials_over(tmp_path)
    with _trial(tmp_path) as name:
        assert os.listdir(tmp_path) == [os.path.basename(name)]
        assert not are_trials_over(tmp_path)
    assert are_trials_over(tmp_path)


def test_it_agrees_with_itself(tmp_path):
    found = probe(tmp_path)
    assert found.erofs_file == probe_erofs(tmp_path, loop=False)
    assert found.mounts_erofs == (found.erofs_file.works or found.erofs_loop.works)
    if not found.mount:
        assert not found.erofs_file
        assert not found.overlay_lowers


def test_a_place_that_does_not_exist(tmp_path):
    found = probe(tmp_path / "none")
    assert not found.mounts_erofs
    assert found.overlay == probe(tmp_path).overlay
    if found.mount:
        assert found.erofs_file.reason == "cannot be tried: No such file or directory"


@pytest.fixture
def some():
    answers = {name: Capability(works=True, reason=f"reason of {name}") for name in NAMES}
    answers["erofs_file"] = Capability(works=False, reason="too old")
    return Capabilities(kernel="6.1.0", **answers)


def test_as_text(some):
    lines = str(some).splitlines()
    assert lines[0].split() == ["kernel", "6.1.0"]
    assert lines[1] == "mount           yes  reason of mount"
    assert "erofs file      no   too old" in lines
    assert len(lines) == 1 + len(NAMES)


def test_as_json(some):
    found = json.loads(json.dumps(some.encode()))
    assert found["kernel"] == "6.1.0"
    assert found["erofs_file"] == {"works": False, "reason": "too old"}
    assert list(found) == ["kernel", *NAMES]


def test_an_answer_is_true_when_it_works(some):
    assert some.mount
    assert not some.erofs_file
    assert some.mounts_erofs
