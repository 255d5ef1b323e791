"""What the single file does first: find what it unpacked once, or unpack it, and begin.

Everything lies in a directory that only its owner can enter, under the digest of what it holds:

    $XDG_CACHE_HOME/orlop-storage/<digest>/      ~/.cache, or /var/cache for root without a home

It is unpacked beside, and renamed when it is whole. A directory that belongs to somebody else, or
that others may write to, is refused. Only what a start needs is imported here: each module costs.
"""

import os
import stat
import sys

DIGEST = "@DIGEST@"
PYTHON = (0, 0)  # @PYTHON@
NAME = "orlop-storage"


class CacheError(Exception):
    """The cache cannot be trusted or made."""


def main():
    """Run the command that is in this file."""
    if sys.version_info[:2] != PYTHON:
        found = ".".join(map(str, sys.version_info[:2]))
        wanted = ".".join(map(str, PYTHON))
        sys.exit(f"{NAME}: made for Python {wanted}, not {found}: set ORLOP_PYTHON to one")
    archive = sys.path[0]
    try:
        sys.path[0] = unpacked(archive)
    except (CacheError, OSError) as error:
        sys.exit(f"{NAME}: {error}; set XDG_CACHE_HOME to a directory of your own")
    sys.argv[0] = NAME
    from orlop.storagecmd.entry import main as run

    run()


def unpacked(archive):
    """The directory with what the file holds; it is unpacked if that has not been done."""
    folder = os.path.join(cache_home(), NAME)
    place = os.path.join(folder, DIGEST)
    try:
        check(folder)
        check(place)
    except FileNotFoundError:
        os.makedirs(folder, 0o700, exist_ok=True)
        check(folder)
        unpack(archive, folder, place)
        check(place)
    return place


def cache_home():
    """Where caches are kept, whether or not there is an environment."""
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(chosen):
        return chosen
    home = os.environ.get("HOME", "")
    if os.path.isabs(home) and home != "/":
        return os.path.join(home, ".cache")
    if os.geteuid() == 0:
        return "/var/cache"
    import pwd

    return os.path.join(pwd.getpwuid(os.geteuid()).pw_dir, ".cache")


def check(path):
    """Succeed if nobody but this user can change what is in a directory."""
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode):
        raise CacheError(f"{path} is no directory")
    if found.st_uid != os.geteuid():
        raise CacheError(f"{path} belongs to user {found.st_uid}")
    if found.st_mode & 0o077:
        raise CacheError(f"others may enter {path}")


def unpack(archive, folder, place):
    """Unpack beside and rename; whoever is first wins, and the others use what he made."""
    import shutil
    import tempfile
    import zipfile

    beside = tempfile.mkdtemp(prefix="new-", dir=folder)
    try:
        with zipfile.ZipFile(archive) as members:
            for name in members.namelist():
                if name.startswith("lib/"):
                    members.extract(name, beside)
        os.chmod(os.path.join(beside, "lib"), 0o700)
        try:
            os.rename(os.path.join(beside, "lib"), place)
        except OSError:
            if not os.path.isdir(place):
                raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)


main()
