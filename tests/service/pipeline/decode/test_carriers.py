"""Compressed records are unpacked within bounds; what else a record may be is named."""

import base64
import bz2
import gzip
import json
import lzma
import time
import zlib
from functools import partial

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from service.pipeline.decode.carriers import MAX_UNPACKED, unpack
from service.pipeline.decode.decoded import DecodeError

packed = partial(gzip.compress, mtime=0)  # without the time of day, so that a case has the same name in each process
BODY = b'{"iotName": "s", "iotValue": 1}'
CUT = len(packed(BODY)) - 5


def zstd_stream(data: bytes) -> bytes:
    """A frame that does not say how large its content is."""
    packer = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    return packer.compress(data) + packer.flush()


PACKERS = [packed, zlib.compress, lambda data: zlib.compress(data, 1), lambda data: zlib.compress(data, 9),
           zstandard.compress, zstd_stream]  # fmt: skip


@pytest.mark.parametrize("pack", PACKERS)
@pytest.mark.parametrize("again", [lambda data: data, packed, zstandard.compress])
def test_a_compressed_record_is_what_is_in_it(decode, pack, again):
    assert decode(again(pack(BODY))).sensors == ["s"]


@pytest.mark.parametrize("pack", PACKERS)
def test_compressed_lines_are_readings_each(decode, pack):
    assert decode(pack(BODY + b"\n" + BODY)).ordinals == [0, 1]


def test_members_of_gzip_and_frames_of_zstd_follow_each_other(decode):
    lines = BODY + b"\n"
    assert decode(packed(lines) + packed(lines) + b"\0" * 8).ordinals == [0, 1]
    assert decode(zstandard.compress(lines) * 3).ordinals == [0, 1, 2]


@given(st.binary(max_size=2000), st.sampled_from(PACKERS))
def test_whatever_was_packed_comes_back(data, pack):
    if data[:1] not in (b"\x1f", b"\x78", b"\x28", b"\xef"):
        assert unpack(pack(data)) == data


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (packed(BODY)[:CUT], "looks like gzip, but is cut off"),
        (packed(BODY) + b"more", "looks like gzip, but 4 other bytes follow"),
        (packed(BODY)[:-8] + b"\0" * 8, "looks like gzip, but cannot be unpacked: .*incorrect data check"),
        (b"\x1f\x8b" + b"x" * 30, "looks like gzip, but cannot be unpacked"),
        (zlib.compress(BODY)[:-2], "looks like zlib, but is cut off"),
        (zstandard.compress(BODY)[:3] + b"\xff" * 30, "not JSON"),
        (zstandard.compress(BODY)[:4] + b"\xff" * 30, "looks like zstd, but cannot be unpacked"),
        (packed(packed(packed(packed(BODY)))), "compressed more than 3 times"),
        (BODY.decode().encode("utf-16"), "UTF-16"),
        (BODY.decode().encode("utf-16-be"), "UTF-16"),
        (BODY.decode().encode("utf-16-le"), "UTF-16"),
        (BODY.decode().encode("utf-32"), "UTF-32"),
        (b'{"iotName": "gr\xf6\xdfe", "iotValue": 1}', "byte 15 is not UTF-8"),
        (base64.b64encode(BODY), "looks like Base64 of JSON"),
        (base64.urlsafe_b64encode(b"[" + BODY * 3 + b"]"), "looks like Base64 of JSON"),
        (base64.encodebytes(BODY * 40), "looks like Base64 of JSON"),
        (base64.b64encode(packed(BODY)), "looks like Base64 of compressed bytes"),
        (json.dumps(base64.b64encode(BODY).decode()).encode(), "a JSON string that looks like Base64 of JSON"),
        (json.dumps(BODY.decode()).encode(), "a JSON string that holds JSON"),
        (b"\xff\x06\x00\x00sNaPpY" + b"x" * 20, "looks like snappy"),
        (bz2.compress(BODY), "looks like bzip2"),
        (lzma.compress(BODY), "looks like xz"),
        (b"<reading/>", "looks like XML"),
        (b"17:00;23.4", "not JSON"),
    ],
)
def test_what_it_looks_like_is_told(decode, data, reason):
    found = decode(data)
    assert not found.readings
    (told,) = found.reasons
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(told)


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf"])
@pytest.mark.parametrize("pack", [lambda data: data, packed])
def test_a_byte_order_mark_is_skipped(decode, mark, pack):
    assert decode(pack(mark + BODY)).sensors == ["s"]
    assert decode(pack(mark + BODY + b"\r\n" + BODY)).sensors == ["s", "s"]


@pytest.mark.parametrize("pack", PACKERS)
@pytest.mark.parametrize("size", [10**6 * 64, 3 * 10**9 // 100])
def test_a_bomb_is_refused_without_being_unpacked(decode, pack, size):
    bomb = pack(b" " * size)
    assert decode(bomb).refusals == [(None, "too_large")]
    assert decode(pack(bomb)).refusals == [(None, "too_large")]


@pytest.mark.parametrize("pack", PACKERS)
def test_what_unpacks_to_the_limit_is_read(decode, pack):
    room = MAX_UNPACKED - len(BODY) - 200_000
    padding = json.dumps({"x": list(range(room // 8))}).encode()[:room]  # does not compress a hundred times
    assert decode(pack(BODY[:-1] + b',"pad":"' + padding.replace(b'"', b" ") + b'"}')).sensors == ["s"]


def test_a_gzip_file_of_countless_members_is_refused_soon():
    began = time.process_time()
    with pytest.raises(DecodeError, match="more than 1000 members"):
        unpack(packed(b"") * 50_000)
    assert time.process_time() - began < 20
