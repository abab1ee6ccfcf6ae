"""Sets of templates: whole or not at all, growing, and never of another configuration."""

import pytest

from detector.detector import Configuration, Detector
from service.state.blobs.sqlite import SQLiteBlobs
from service.state.snapshots import ModelFingerprint
from service.state.templates import Templates, TemplateStore
from service.stores import opened

CONFIGURATION = Configuration(profile="small")
FINGERPRINT = ModelFingerprint("rcf-1", {"samples": 256})


def model(seed: int) -> bytes:
    return Detector(CONFIGURATION, seed).snapshot()


@pytest.fixture
async def blobs(tmp_path):
    async with opened(SQLiteBlobs(tmp_path / "cutwater.db")) as blobs:
        yield blobs


async def test_what_is_added_is_read_and_named_by_its_content(blobs):
    store = TemplateStore(blobs, "stream", FINGERPRINT)
    assert await store.read(CONFIGURATION) == Templates()
    first = await store.add({"a": model(1), "b": model(2)}, CONFIGURATION)
    assert first.models == {"a": model(1), "b": model(2)}
    assert await TemplateStore(blobs, "stream", FINGERPRINT).read(CONFIGURATION) == first
    assert await TemplateStore(blobs, "other", FINGERPRINT).read(CONFIGURATION) == Templates()
    second = await store.add({"b": model(3), "c": model(4)}, CONFIGURATION)
    assert second.models == {"a": model(1), "b": model(3), "c": model(4)}
    assert len({first.digest, second.digest, ""}) == 3
    assert (await store.add({"c": model(4)}, CONFIGURATION)).digest == second.digest
    assert len(await blobs.names("stream/templates/")) == 2  # a head and its chunk; older sets are gone


async def test_a_set_that_was_not_finished_is_none(blobs):
    store = TemplateStore(blobs, "stream", FINGERPRINT)
    first = await store.add({"a": model(1)}, CONFIGURATION)
    await blobs.put("stream/templates/000000000002-00000001.0", b"half a set")
    assert await store.read(CONFIGURATION) == first
    assert (await store.add({"b": model(2)}, CONFIGURATION)).models.keys() == {"a", "b"}


async def test_templates_of_another_configuration_are_not_used_and_that_is_said(blobs, caplog):
    await TemplateStore(blobs, "stream", FINGERPRINT).add({"a": model(1)}, CONFIGURATION)
    other = TemplateStore(blobs, "stream", ModelFingerprint("rcf-2", {"samples": 128}))
    assert await other.read(CONFIGURATION) == Templates()
    assert "samples was 256 and is 128; run cutwater backfill again" in caplog.text


async def test_templates_of_another_version_are_not_used_and_that_is_said(blobs, caplog):
    await TemplateStore(blobs, "stream", FINGERPRINT).add({"a": b"from the future"}, CONFIGURATION)
    assert await TemplateStore(blobs, "stream", FINGERPRINT).read(CONFIGURATION) == Templates()
    assert "not a detector's snapshot; run cutwater backfill again" in caplog.text
