"""Collectors beside writers: what a writer is about to name stays."""

import json
import threading

from orlop.errors import InUseError
from orlop.layout import (
    DirectoryDriver,
    collect,
    init,
    put_manifest_descriptor_to_index,
    read_index,
    sharing,
    validate,
    write_blob,
    write_json_blob,
)
from orlop.mediatype import OCI_MANIFEST
from orlop.spec import EMPTY

WRITERS = 3
IMAGES = 8


def write_images(place, number, failures):
    """Write images whose blobs all writers share, each named at last."""
    driver = DirectoryDriver(place)
    try:
        for image in range(IMAGES):
            with sharing(driver):
                layer = b"layer %d" % image
                document = {
                    "schemaVersion": 2,
                    "config": {**EMPTY.encode(), "digest": write_blob(driver, b"{}")},
                    "layers": [
                        {
                            "mediaType": "text/plain",
                            "digest": write_blob(driver, layer),
                            "size": len(layer),
                        }
                    ],
                    "artifactType": "text/plain",
                    "annotations": {"from": str(number)},
                }
                found = write_json_blob(driver, document, OCI_MANIFEST)
                put_manifest_descriptor_to_index(driver, found)
    except BaseException as error:
        failures.append(error)
        raise


def collect_until(place, done, counts):
    while not done.is_set():
        try:
            counts.append(len(collect(DirectoryDriver(place), unfinished=True, timeout=0.5)))
        except InUseError:
            counts.append(0)


def test_nothing_that_a_writer_names_is_lost(tmp_path):
    place = tmp_path / "layout"
    driver = DirectoryDriver(place)
    init(driver)
    done, failures, counts = threading.Event(), [], []
    collector = threading.Thread(target=collect_until, args=(place, done, counts))
    writers = [
        threading.Thread(target=write_images, args=(place, number, failures))
        for number in range(WRITERS)
    ]
    for thread in (collector, *writers):
        thread.start()
    for thread in writers:
        thread.join(60)
    done.set()
    collector.join(60)
    assert not failures
    assert counts
    assert len(read_index(driver).manifests) == WRITERS * IMAGES
    assert list(validate(driver)) == []
    write_blob(driver, json.dumps("junk").encode())
    assert len(collect(driver, unfinished=True)) == 1
    assert list(validate(driver)) == []
