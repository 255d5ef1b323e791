"""containers-storage and orlop-storage beside each other."""

import pytest

from support.storage_commands import Both


@pytest.fixture(params=["vfs", "overlay"])
def both(request, tmp_path):
    pair = Both(tmp_path, request.param)
    yield pair
    pair.close()
