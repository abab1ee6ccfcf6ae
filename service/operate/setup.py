"""``cutwater setup``: what the index server must know, shown first and done on request."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson

from service.operate.dashboards import MARK, ndjson, saved_objects
from service.sinks.index import IndexSetupError
from service.sinks.index.auth import Auth
from service.sinks.index.opensearch import OpenSearchIndex
from service.sinks.index.prepare import Step

_WHAT_IT_MUST_BE = (
    "dashboards_url must be that of OpenSearch Dashboards or Kibana, with its base path (/_dashboards on AWS)"
)
_TIMEOUT = aiohttp.ClientTimeout(total=60)
_DONE = {"create": "created", "update": "updated"}


async def set_up(
    index: OpenSearchIndex,
    *,
    dry_run: bool,
    tell: Callable[[str], None],
    dashboards_url: str = "",
    auth: Auth | None = None,
) -> None:
    """Show the whole plan and then, unless ``dry_run``, carry it out; any number of times. Raises IndexSetupError.

    Args:
        index: not opened yet.
        tell: takes each line for the user.
        dashboards_url: OpenSearch Dashboards or Kibana to import the charts into, with its base path.
        auth: how to reach it.
    """
    plan = await index.plan()
    if dashboards_url:
        plan.append(await _dashboards(index, dashboards_url.rstrip("/"), auth or Auth()))
    tell(f"{index.distribution} {index.version}, indices {index.layout.prefix}-…")
    for step in plan:
        tell(_line(step, step.state))
    if not dashboards_url:
        tell("  by hand      dashboards: give --dashboards-url, or import the file of `cutwater dashboards write FILE`")
    due = [(step, step.take) for step in plan if step.take]
    if dry_run and due:
        tell("Nothing was changed; leave out --dry-run to carry this out.")
    elif due:
        tell("Carrying it out:")
        for step, take in due:
            await take()
            tell(_line(step, _DONE[step.state]))
    else:
        tell("Nothing to do.")


def _line(step: Step, state: str) -> str:
    return f"  {state:<12} {step.what}" + (f": {step.detail}" if step.detail else "")


async def _dashboards(index: OpenSearchIndex, url: str, auth: Auth) -> Step:
    objects = saved_objects(index.layout.prefix, index.layout.features)
    dashboard = objects[-1]
    what = f"dashboard {dashboard['attributes']['title']!r} with {len(objects) - 1} objects"
    there = await _description(url, auth, dashboard["id"])
    if there == dashboard["attributes"]["description"]:
        return Step(what, "present", f"at {_address_of(url)}")
    if there is not None and not there.startswith(MARK):
        raise IndexSetupError(
            f"dashboards at {_address_of(url)}: dashboard {dashboard['id']!r} is not Cutwater's; "
            "set another index_prefix"
        )
    take = partial(_import, url, ndjson(objects), auth)
    return Step(what, "create" if there is None else "update", f"at {_address_of(url)}", take)


async def _description(url: str, auth: Auth, identity: str) -> str | None:
    """What a dashboard says of itself; None if it is not there."""
    wanted = orjson.dumps({"objects": [{"type": "dashboard", "id": identity}], "excludeExportDetails": True})
    status, content = await _post(f"{url}/api/saved_objects/_export", wanted, auth, "application/json")
    if status == 200:
        return str(orjson.loads(content.splitlines()[0])["attributes"].get("description", ""))
    if status == 400 and _from_dashboards(content):  # an object to export is not there
        return None
    if not _from_dashboards(content):
        raise IndexSetupError(f"dashboards at {_address_of(url)}: {status}; {_WHAT_IT_MUST_BE}")
    raise IndexSetupError(f"dashboards at {_address_of(url)}: {status} {_complaint(content)}")


async def _import(url: str, content: bytes, auth: Auth) -> None:
    form = aiohttp.FormData()
    form.add_field("file", content, filename="cutwater.ndjson", content_type="application/ndjson")
    status, answer = await _post(f"{url}/api/saved_objects/_import?overwrite=true", form, auth)
    if status != 200 or orjson.loads(answer).get("success") is not True:
        raise IndexSetupError(f"dashboards at {_address_of(url)}: {status} {_complaint(answer)}")


async def _post(url: str, data: Any, auth: Auth, kind: str = "") -> tuple[int, bytes]:
    """Status and content of the answer. Raises IndexSetupError if what answers is no Dashboards or Kibana."""
    if auth.aws:
        raise IndexSetupError(
            f"dashboards at {_address_of(url)}: requests are not signed for it; import the file of `cutwater dashboards"
            " write FILE` by hand (Dashboards Management, Saved objects)"
        )
    options = auth.client_options(url)
    headers = {"osd-xsrf": "true", "kbn-xsrf": "true", **options.get("headers", {})}
    headers |= {"content-type": kind} if kind else {}
    if auth.user:
        word = base64.b64encode(f"{auth.user}:{auth.password}".encode()).decode()
        headers["authorization"] = f"Basic {word}"
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT, headers=headers) as session,
            session.post(url, data=data, ssl=options.get("ssl_context", True), allow_redirects=False) as answer,
        ):
            content = await answer.read()
            if answer.status in (401, 403):
                raise IndexSetupError(f"dashboards at {_address_of(url)}: {answer.status}; check the credentials")
            orjson.loads(content.splitlines()[0] if content else b"")
            return answer.status, content
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise IndexSetupError(f"dashboards at {_address_of(url)}: {_why(error)}; {_WHAT_IT_MUST_BE}") from None


def _why(error: Exception) -> str:
    """A line for people; an answer that is no JSON is one of something else, such as a page to sign in at."""
    return "its answer is no JSON" if isinstance(error, ValueError) else str(error) or type(error).__name__


def _from_dashboards(content: bytes) -> bool:
    """Whether an error looks like one of Dashboards or Kibana; servers of the index say it in another way."""
    body: Any = orjson.loads(content.splitlines()[0] if content else b"{}")
    return isinstance(body, dict) and "statusCode" in body


def _complaint(content: bytes) -> str:
    body: Any = orjson.loads(content.splitlines()[0])
    if not isinstance(body, dict):
        return ""
    failed = [f"{each.get('id')}: {each.get('error', {}).get('type')}" for each in body.get("errors") or []]
    return "; ".join(failed) or str(body.get("message", ""))[:300]


def _address_of(url: str) -> str:
    """The address without user and password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.partition('/api/')[0]}"
