"""A quick check looks closely at what is doubtful alone, and finds what looking at all would."""

import pytest

from orlop.storage.check.checker import examiners
from orlop.storage.check.examination import Examination
from orlop.storage.check.screen import Screen

SCREENED = {"blob", "image", "layer", "form", "chain"}

DAMAGES = [
    "DELETE FROM blobs WHERE media_type LIKE '%manifest%'",
    "DELETE FROM blobs WHERE media_type LIKE '%layer%'",
    "DELETE FROM blobs WHERE media_type LIKE '%config%'",
    "UPDATE blobs SET size = size + 1",
    "DELETE FROM edges",
    "DELETE FROM layers WHERE parent IS NULL",
    "DELETE FROM layers WHERE parent IS NOT NULL",
    "UPDATE layers SET parent = NULL",
    "UPDATE layers SET chain_id = 'sha256:' || hex(zeroblob(32))",
    "UPDATE layers SET chain_id = NULL",
    "UPDATE layers SET frozen = 1",
    "UPDATE layers SET diff_id = NULL, form = 'diff' WHERE parent IS NULL",
    "UPDATE forms SET size = size + 1",
    "UPDATE forms SET digest = NULL",
    "UPDATE forms SET durable = 0, boot_id = 'another'",
    "UPDATE forms SET writer_version = 0",
    "DELETE FROM forms",
    "DELETE FROM forms; DELETE FROM blobs",
    "UPDATE chains SET size = size + 1",
    "DELETE FROM chains",
    "DELETE FROM chain_layers WHERE ordinal = 0",
]
"""What a bug, or an old copy of the database, would do to the records."""

HARMLESS = {
    "UPDATE forms SET durable = 0, boot_id = 'another'",
    "UPDATE forms SET writer_version = 0",
}


def looked_at_one_by_one(storage):
    examination = Examination(storage=storage, quick=True, max_age_ns=0)
    return {
        finding
        for examiner in examiners(examination)
        for key in examiner.keys()  # noqa: SIM118 - no mapping
        for finding in examiner.look(key)
    }


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_of_records_is_found_as_by_a_look_at_each(storage, image, base, forget, damage):
    for statement in damage.split(";"):
        forget(statement)
    found = set(storage.check(quick=True, max_age=0).findings)
    assert found == looked_at_one_by_one(storage)
    assert bool(found) != (damage in HARMLESS)


@pytest.mark.parametrize("folder", ["blobs", "forms", "chains"])
@pytest.mark.parametrize("how", ["shorten", "remove"])
def test_damage_of_files_is_found_as_by_a_look_at_each(storage, image, base, folder, how):
    for path in sorted((storage.places.root / folder).rglob("*")):
        if path.is_file() and not path.is_symlink():
            if how == "remove":
                path.unlink()
            else:
                path.chmod(0o600)
                path.write_bytes(path.read_bytes()[:-1])
    found = set(storage.check(quick=True, max_age=0).findings)
    assert found == looked_at_one_by_one(storage)
    assert found


def test_nothing_of_a_sound_image_is_doubtful(storage, image, base):
    """So a store of many images costs a few queries, and not a few for each."""
    examination = Examination(storage=storage, quick=True, max_age_ns=0)
    screen = Screen(examination)
    looked = {
        examiner.kind: list(screen.doubtful(examiner.kind, list(examiner.keys())))
        for examiner in examiners(examination)
    }
    assert {kind: keys for kind, keys in looked.items() if kind in SCREENED and keys} == {}
    assert looked["data"], "what is not screened is all looked at"
