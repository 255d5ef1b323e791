"""Corner cases: what orlop shows with each driver, compared with what umoci and podman unpack."""

import pytest

from orlop.storage.mountable import DRIVERS
from orlop.tree.dump import describe
from support.corners import CASES, layers_of
from support.images import ImageBuilder, directory
from support.marks import needs_root, needs_tools
from support.views import below, differences

pytestmark = [*needs_root, *needs_tools("umoci", "podman")]

# Layers that say only together with those below what overlay must be told: orlop merges them.
TOGETHER = {
    "hard-link-to-a-lower-layer",
    "behind-a-symlink",
    "behind-an-absolute-symlink",
    "behind-two-symlinks",
    "behind-a-symlink-that-goes-up",
    "behind-a-symlink-out-of-the-root",
    "times-of-parents",
}

# What a peer does otherwise is compared in test_disagreements.py.
UMOCI_DIFFERS = {"whiteout-after-a-new-directory", "opaque-last"}
PODMAN_DIFFERS = {
    "whiteout-after-what-is-new",
    "whiteout-after-a-new-directory",
    "twice-in-a-layer",
    "times-of-parents",
    "attributes-replaced",
    "acls-that-are-inherited",
    "capability-of-a-hard-link",
}
ROOTS = [
    directory("./", 0o711, uid=3, gid=4, mtime=1_500_000_000),
    directory("./", 0o1751, uid=5, gid=6, mtime=1_500_000_001),
]


class Corners:
    """Views of the cases, each taken once: by `(who, group of cases)`."""

    def __init__(self, place, takers):
        self._place = place
        self._takers = takers
        self._views = {}

    def of(self, who, cases):
        key = who, frozenset(cases)
        if key not in self._views:
            builder = ImageBuilder()
            for data in layers_of({name: CASES[name] for name in sorted(cases)}, root=ROOTS):
                builder.raw_layer(data)
            layout = builder.write(self._place / str(len(self._views)))
            self._views[key] = self._takers[who](layout)
        return self._views[key]


@pytest.fixture(scope="module")
def corners(tmp_path_factory, orlop_shows, umoci_shows, podman_shows):
    takers = {
        driver: lambda layout, driver=driver: orlop_shows(layout.source, driver)
        for driver in DRIVERS
    }
    takers["umoci"] = lambda layout: umoci_shows(layout.path)
    takers["podman"] = lambda layout: podman_shows(layout.source)
    return Corners(tmp_path_factory.mktemp("corners"), takers)


def group(case):
    """The cases that make one image with this one."""
    return TOGETHER if case in TOGETHER else CASES.keys() - TOGETHER


def podman_group(case):
    """Cases for podman: its driver `vfs` loses attributes and links as it copies a lower layer."""
    single = len(CASES[case]) == 1
    return {name for name in CASES.keys() - PODMAN_DIFFERS if (len(CASES[name]) == 1) is single}


@pytest.mark.parametrize("driver", ["overlay", "directory"])
@pytest.mark.parametrize("case", CASES)
def test_all_drivers_show_the_same(corners, case, driver):
    ours, other = corners.of("erofs", group(case)), corners.of(driver, group(case))
    assert differences(below(ours.tree, case), below(other.tree, case)) == []


@pytest.mark.parametrize("case", sorted(CASES.keys() - UMOCI_DIFFERS))
def test_as_umoci_unpacks(corners, case):
    ours, theirs = corners.of("erofs", group(case)), corners.of("umoci", group(case))
    assert differences(below(ours.tree, case), below(theirs, case)) == []


@pytest.mark.parametrize("case", sorted(CASES.keys() - PODMAN_DIFFERS))
def test_as_podman_mounts(corners, case):
    ours, theirs = corners.of("erofs", group(case)), corners.of("podman", podman_group(case))
    assert differences(below(ours.tree, case), below(theirs, case)) == []


@pytest.mark.parametrize("cases", [CASES.keys() - TOGETHER, TOGETHER], ids=["alone", "together"])
class TestWhole:
    def test_the_driver_is_what_was_asked_for(self, corners, cases):
        found = [corners.of(driver, cases).driver for driver in DRIVERS]
        overlay = "directory" if cases is TOGETHER else "overlay"
        assert found == ["erofs", overlay, "directory"]

    @pytest.mark.parametrize("driver", ["erofs", "directory"])
    def test_link_counts(self, corners, cases, driver):
        assert corners.of(driver, cases).wrong_link_counts == []

    @pytest.mark.parametrize("who", ["overlay", "directory", "umoci"])
    def test_the_root_directory(self, corners, cases, who):
        ours, other = corners.of("erofs", cases).tree, corners.of(who, cases)
        other = getattr(other, "tree", other)
        assert (ours.mode, ours.uid, ours.gid) == (0o41751, 5, 6)
        assert ours.mtime_ns == 1_500_000_001_000_000_000
        assert describe(other) == describe(ours)
        assert other.children.keys() == ours.children.keys()
