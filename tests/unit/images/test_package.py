import subprocess
import sys

import pytest

from orlop import images
from support.images import ImageBuilder, file


def example():
    """The part of the package's docstring that is code."""
    text = images.__doc__
    return text[text.index("from orlop.content") :]


def test_the_example_fetches_an_image(tmp_path, monkeypatch, capsys):
    layout = ImageBuilder().layer(file("name")).write(tmp_path / "layout")
    monkeypatch.chdir(tmp_path)
    exec(compile(example(), "example", "exec"), {})
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 3
    assert any(line.startswith(layout.manifest["mediaType"]) for line in told)
    assert len(list((tmp_path / "content/blobs/sha256").iterdir())) == 3


def test_the_example_is_short():
    assert len([line for line in example().splitlines() if line]) <= 10


@pytest.mark.parametrize("name", images.__all__)
def test_every_public_name_is_there_and_told(name):
    found = getattr(images, name)
    assert found.__doc__ or name == "Handler"


def test_the_package_opens_no_database():
    code = "import orlop.images, sys; assert 'apsw' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
