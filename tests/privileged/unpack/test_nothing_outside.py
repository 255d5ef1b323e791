"""Hostile layers unpacked where nothing can be written but the store and one directory.

Whoever writes anywhere else gets EROFS, and the unpacking fails.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from support.bundles import listing
from support.hostile import HARMLESS
from support.images import ImageBuilder, directory, file, hardlink, symlink
from support.marks import needs_root

pytestmark = needs_root

CHECKOUT = Path(__file__).parents[3]
READ_ONLY = """
mount --make-rprivate /
mount --bind "$1/store" "$1/store"
mount --bind "$1/target" "$1/target"
mount -o remount,bind,ro /
if touch "$1/probe" 2>/dev/null; then echo "the machine can be written to"; exit 1; fi
shift
exec "$@"
"""
WORK = """
import json, sys
import orlop
place = sys.argv[1]
with orlop.open_store(f"{place}/store/root", f"{place}/store/run") as store:
    for name, source in json.load(sys.stdin).items():
        image = store.pull(source, tag="hostile")
        for form, options in (("m", {}), ("l", {"layer": 1}), ("s", {"stacked": True})):
            image.unpack(f"{place}/target/{form}-{name.replace(' ', '-')}", **options)
        work = f"{place}/target/m-{name.replace(' ', '-')}"
        assert store.repack(work, "same").layer is None, name
        open(f"{work}/rootfs/new", "w").close()
        store.repack(work, "changed")
"""
ESCAPES = {
    "links to everywhere": (
        symlink("etc", "/var/tmp"), symlink("root", "/"), symlink("up", "../../../../.."),
        file("etc/orlop-test", b"x"), file("root/orlop-test", b"x"), file("up/orlop-test", b"x"),
        hardlink("root/orlop-link", "etc/orlop-test"), directory("up/orlop-directory"),
    ),
    "links into the target": (
        symlink("note", "../orlop.json"), symlink("up", ".."), file("up/orlop.tree", b"x"),
        symlink("self", "."), file("self/self/x", b"x"), file("../orlop.json".lstrip("./"), b"x"),
    ),
}  # fmt: skip


def test_hostile_layers(tmp_path):
    for name in ("store", "target", "images"):
        (tmp_path / name).mkdir()
    sources = {}
    for name, (data, _) in HARMLESS.items():
        builder = ImageBuilder().layer(directory("d"), file("d/x", b"x")).raw_layer(data)
        sources[name] = builder.write(tmp_path / "images" / name.replace(" ", "-")).source
    for name, members in ESCAPES.items():
        builder = ImageBuilder().layer(directory("d")).layer(*members)
        sources[name] = builder.write(tmp_path / "images" / name.replace(" ", "-")).source
    before = listing(tmp_path / "images")
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", READ_ONLY, "sh", tmp_path, sys.executable, "-c", WORK,
         tmp_path],
        input=json.dumps(sources), capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert listing(tmp_path / "images") == before
    assert sorted(os.listdir(tmp_path)) == ["images", "store", "target"]
    assert len(os.listdir(tmp_path / "target")) == 3 * len(sources)
    for folder in (tmp_path / "target").iterdir():
        own = {"orlop.json", "orlop.tree", "rootfs", "0", "1"}
        assert set(os.listdir(folder)) <= own
        assert json.loads((folder / "orlop.json").read_text())["version"] == 1
