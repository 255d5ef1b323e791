"""A store under test, worked on by the command, and what every failure must leave of it.

store = StoreUnderTest(tmp_path)
store.pull(good.source)
store.refuses("oci:/nowhere", code=3, says="no such directory")
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

import orlop
from orlop.cli.failure import report
from orlop.cli.main import main
from orlop.registry import RegistryOptions
from orlop.transfer import SourceOptions
from support.images import ImageBuilder, directory, file

_MAIN = "import sys; from orlop.cli.main import main; sys.exit(main())"


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def errors(self):
        return [line for line in self.err.splitlines() if line.startswith("error: ")]

    def check_failure(self, code, says=""):
        """One line that says what went wrong, at most one hint, nothing else."""
        assert self.code == code, self
        lines = self.err.splitlines()
        kinds = [line.partition(": ")[0] for line in lines]
        assert kinds in (["error"], ["error", "hint"]), self
        assert says in lines[0], self
        assert self.out == ""


class StoreUnderTest:
    """A store and its mount points below a directory."""

    def __init__(self, place, driver=None):
        self.root = Path(place) / "root"
        self.run = Path(place) / "run"
        self.driver = driver

    @property
    def options(self):
        return ["--root", str(self.root), "--run", str(self.run)]

    def orlop(self, *arguments):
        """Run a command in this process."""
        out, err = (io.TextIOWrapper(io.BytesIO(), write_through=True) for _ in range(2))
        handler = signal.getsignal(signal.SIGTERM)
        try:
            with redirect_stdout(out), redirect_stderr(err):
                code = main([*self.options, *map(str, arguments)])
        finally:
            signal.signal(signal.SIGTERM, handler)
        return Outcome(
            code, *(each.buffer.getvalue().decode(errors="replace") for each in (out, err))
        )

    def start(self, *arguments, **options):
        """Start a command in a process of its own."""
        command = [sys.executable, "-c", _MAIN, *self.options, *map(str, arguments)]
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.root.parent)}
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=environ,
            **options,
        )

    def command(self, *arguments, **options):
        """Run a command in a process of its own."""
        return outcome(self.start(*arguments, **options))

    def pull(self, source, *more):
        """Pull an image; success is taken for granted."""
        done = self.orlop("pull", source, *self._driver(), *more)
        assert done.code == 0, done
        return done.out.strip()

    def images(self):
        """The records of all images, but for the moments."""
        done = self.orlop("images", "--format", "json")
        assert done.code == 0, done
        return [
            {key: value for key, value in image.items() if not key.endswith("_at_ns")}
            for image in json.loads(done.out)
        ]

    def collect(self, *arguments):
        done = self.orlop("gc", *arguments)
        assert done.code == 0, done

    def files(self):
        """All files that are the store's content: without locks, database and reserve."""
        found = set()
        for folder, _, names in os.walk(self.root):
            place = os.path.relpath(folder, self.root)
            if place.split("/")[0] != "locks":
                found |= {os.path.normpath(os.path.join(place, name)) for name in names}
        return {name for name in found if not name.startswith(("orlop.db", "reserve"))}

    def refuses(self, source, *more, code, says="", resumable=False):
        """A pull fails with one clear line, and the store stays as it was.

        Args:
            source: What is pulled.
            more: Further arguments.
            code: The exit code.
            says: What the line must say.
            resumable: Whether what came may be kept for the next pull.
        """
        images, files = self.images(), self.files()
        done = self.orlop("pull", source, *self._driver(), "--tag", "refused:1", *more)
        done.check_failure(code, says)
        self.is_unchanged(images, files, resumable=resumable)
        return done

    def refuses_at_once(self, source, *, code, says="", resumable=False, **options):
        """As `refuses`, for a registry that is asked again without waiting."""
        images, files = self.images(), self.files()
        options = RegistryOptions(sleep=lambda seconds: None, **options)
        with orlop.open_store(self.root, self.run) as store, pytest.raises(Exception) as caught:
            store.pull(str(source), driver=self.driver, options=SourceOptions(registry=options))
        err = io.StringIO()
        with redirect_stderr(err):
            done = Outcome(report(caught.value), "", err.getvalue())
        done.check_failure(code, says)
        self.is_unchanged(images, files, resumable=resumable)
        return done

    def is_unchanged(self, images, files, *, resumable=False):
        """Nothing was named, and a collection leaves nothing that was not there.

        Args:
            images: What `images` was.
            files: What `files` was.
            resumable: Whether what came may stay until unfinished things are collected too.
        """
        assert self.images() == images
        self.collect(*(["--unfinished"] if resumable else []))
        assert self.files() == files, sorted(self.files() ^ files)

    def _driver(self):
        return ["--driver", self.driver] if self.driver else []


@contextmanager
def store_with_image(place, driver=None):
    """A store with one good image, which can be read and pulled again after the tests."""
    store = StoreUnderTest(place, driver)
    good = ImageBuilder().layer(directory("etc"), file("etc/hostname", b"box\n"))
    source = good.write(Path(place) / "good").source
    store.pull(source)
    store.collect()
    yield store
    assert store.orlop("cat", "good", "/etc/hostname").out == "box\n"
    store.pull(source)


def outcome(process, timeout=60):
    """How a process that was started ends."""
    out, err = process.communicate(timeout=timeout)
    return Outcome(process.returncode, out, err)
