"""Build `orlop-storage` as one file that needs nothing but a Python of this version.

    python packaging/build_binary.py dist/orlop-storage

The file is a shell script that starts Python with itself, which is a zip archive, too: orlop, the
libraries that the command needs, and their bytecode. The libraries are compiled for one version of
Python and one kind of machine, and so is the file.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import io
import os
import py_compile
import shlex
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGES = ("apsw", "isal", "backports.zstd")
LEFT_OUT = ("cli", "testing")
"""Parts of orlop that the command never loads."""
HERE = Path(__file__).parent
STAMP = (1980, 1, 1, 0, 0, 0)

SCRIPT = """\
#!/bin/sh
for python in "$ORLOP_PYTHON" python{version} {built}; do
    [ -n "$python" ] && command -v "$python" >/dev/null 2>&1 && exec "$python" -I -S "$0" "$@"
done
echo "orlop-storage: there is no python{version}: set ORLOP_PYTHON to one" >&2
exit 127
"""


def main() -> None:
    """Build the file that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", type=Path)
    target = parser.parse_args().target
    members = dict(sorted(collect().items()))
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f"{target.name}.new")
    beside.write_bytes(script() + archive(members))
    beside.chmod(0o755)
    beside.rename(target)
    print(f"{target}: {target.stat().st_size >> 10} KiB")


def collect() -> dict[str, bytes]:
    """All files, by their names in the archive."""
    found: dict[str, bytes] = {}
    orlop = Path(importlib.util.find_spec("orlop").origin).parent
    for path in sorted(orlop.rglob("*")):
        parts = path.relative_to(orlop).parts
        if parts[0] not in LEFT_OUT:
            add(found, path, Path("orlop", *parts))
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is None:
            continue  # `backports.zstd` from Python 3.14 on
        origin = Path(spec.origin)
        if origin.name == "__init__.py":
            for path in sorted(origin.parent.rglob("*")):
                add(found, path, Path(*name.split(".")) / path.relative_to(origin.parent))
        else:
            add(found, origin, Path(*name.split(".")) / origin.name)
    return found


def add(found: dict[str, bytes], path: Path, name: Path) -> None:
    """Take a file that is needed at run time, with its bytecode."""
    if not path.is_file() or path.suffix not in {".py", ".so", ".json"}:
        return
    found[f"lib/{name}"] = path.read_bytes()
    if path.suffix == ".py":
        found[f"lib/{bytecode_name(name)}"] = bytecode(path, name)


def bytecode_name(name: Path) -> Path:
    """Where Python looks for the bytecode of a module."""
    return Path(importlib.util.cache_from_source(str(name)))


def bytecode(path: Path, name: Path) -> bytes:
    """The bytecode of a module, which is right whatever times its source gets."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "module.pyc")
        py_compile.compile(
            str(path), str(made), dfile=str(name), doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )  # fmt: skip
        return made.read_bytes()


def archive(members: dict[str, bytes]) -> bytes:
    """The archive, whose bytes follow from what is in it."""
    digest = hashlib.sha256()
    for name, data in members.items():
        digest.update(f"{name}\0{len(data)}\0".encode() + data)
    launcher = (HERE / "launcher.py").read_text()
    launcher = launcher.replace("@DIGEST@", digest.hexdigest()[:32])
    launcher = launcher.replace("(0, 0)  # @PYTHON@", repr(sys.version_info[:2]))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in {"__main__.py": launcher.encode(), **members}.items():
            info = zipfile.ZipInfo(name, STAMP)
            info.external_attr = 0o644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            made.writestr(info, data)
    return buffer.getvalue()


def script() -> bytes:
    """What the shell reads."""
    version = ".".join(map(str, sys.version_info[:2]))
    built = shlex.quote(os.path.realpath(sys.executable))
    return SCRIPT.format(version=version, built=built).encode()


if __name__ == "__main__":
    main()
