"""Which AWS regions botocore knows, and what to say of another, which may exist: AWS opens new ones."""

from __future__ import annotations

import difflib
import functools
import socket
from urllib.parse import urlsplit

from botocore.session import get_session

from service import UserError


class RegionError(UserError):
    """There is no such region; the message names those whose names are alike."""

    exit_code = 2


@functools.cache
def known() -> tuple[str, ...]:
    """The names of the regions that botocore knows, of all partitions."""
    session = get_session()
    partitions = session.get_available_partitions()
    return tuple(sorted({name for each in partitions for name in session.get_available_regions("kinesis", each)}))


def doubt(region: str, error: Exception, *, answered: bool) -> str:
    """What to add to the ``error`` of a call to a host of this region; nothing if the host is another.

    Raises RegionError if botocore does not know the region, the host's name does not exist, and nothing there has
    ``answered`` yet.
    """
    details = getattr(error, "kwargs", {})
    host = urlsplit(details.get("endpoint_url") or "").hostname or ""
    if region.lower() not in host.split("."):
        return ""
    if region in known():
        return f"; region is {region!r}"
    alike = ", ".join(difflib.get_close_matches(region.lower(), known(), 3) or ["eu-west-1"])
    if not answered and getattr(details.get("error"), "errno", None) == socket.EAI_NONAME:
        raise RegionError(f"region = {region!r}: {host} does not exist; names like it: {alike}") from None
    return f"; region is {region!r}, which is unknown to botocore; names like it: {alike}"
