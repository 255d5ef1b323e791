"""Random stacks of layers, shown by every driver as umoci unpacks them."""

import pytest

from orlop.storage.mountable import DRIVERS
from support.images import ImageBuilder, tar
from support.marks import needs_root, needs_tools
from support.random_images import RandomImage
from support.views import differences

pytestmark = [*needs_root, *needs_tools("umoci")]


@pytest.mark.parametrize("seed", range(30))
def test_random_images(seed, tmp_path, orlop_shows, umoci_shows):
    image = RandomImage(seed)
    layout = ImageBuilder("none", tars=[tar(*layer) for layer in image.layers]).write(tmp_path)
    theirs = umoci_shows(layout.path)
    for driver in DRIVERS:
        ours = orlop_shows(layout.source, driver)
        assert differences(ours.tree, theirs) == [], driver
        assert driver == "overlay" or ours.wrong_link_counts == []
