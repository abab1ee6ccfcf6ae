"""``cutwater setup``: what the index server must know, shown first and done on request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from service.dashboards import ndjson, saved_objects
from service.index import IndexSetupError
from service.index.access import Access
from service.index.opensearch import OpenSearchIndex
from service.index.prepare import Step

_TIMEOUT = aiohttp.ClientTimeout(total=60)
_DONE = {"create": "created", "update": "updated"}


async def set_up(
    index: OpenSearchIndex,
    *,
    dry_run: bool,
    tell: Callable[[str], None],
    dashboards_url: str = "",
    access: Access | None = None,
) -> None:
    """Show the plan and, unless ``dry_run``, carry it out; any number of times. Raises IndexSetupError.

    Args:
        index: not opened yet.
        tell: takes each line for the user.
        dashboards_url: OpenSearch Dashboards or Kibana to import the charts into, with its base path.
        access: how to reach it.
    """
    plan = await index.plan()
    tell(f"{index.distribution} {index.version}, indices {index.layout.prefix}-…")
    if dashboards_url:
        plan.append(_dashboards(index, dashboards_url, access or Access()))
    for step in plan:
        state = step.state
        if step.take and not dry_run:
            await step.take()
            tell(_line(replace(step, state=state), _DONE[state]))
        else:
            tell(_line(step, state))
    if dry_run and any(step.take for step in plan):
        tell("Nothing was changed; leave out --dry-run to carry this out.")


def _line(step: Step, state: str) -> str:
    return f"  {state:<12} {step.what}" + (f": {step.detail}" if step.detail else "")


def _dashboards(index: OpenSearchIndex, url: str, access: Access) -> Step:
    objects = saved_objects(index.layout.prefix, index.layout.features)
    names = f"dashboard {objects[-1]['attributes']['title']!r} with {len(objects) - 1} objects"
    return Step(names, "update", f"at {_place(url)}", partial(_import, url.rstrip("/"), ndjson(objects), access))


async def _import(url: str, content: bytes, access: Access) -> None:
    options = access.client_options(url)
    headers = {"osd-xsrf": "true", "kbn-xsrf": "true", **options.get("headers", {})}
    user = aiohttp.BasicAuth(access.user, access.password) if access.user else None
    form = aiohttp.FormData()
    form.add_field("file", content, filename="cutwater.ndjson", content_type="application/ndjson")
    tls = options.get("ssl_context", True)
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT, auth=user, headers=headers) as session,
            session.post(f"{url}/api/saved_objects/_import?overwrite=true", data=form, ssl=tls) as answer,
        ):
            body: Any = await answer.json(content_type=None) if answer.status in (200, 400, 422) else {}
            if answer.status != 200 or not body.get("success"):
                raise IndexSetupError(f"dashboards at {_place(url)}: {answer.status} {_complaint(body)}")
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise IndexSetupError(
            f"dashboards at {_place(url)}: {type(error).__name__}; is this OpenSearch Dashboards or Kibana,"
            " with its base path (/_dashboards on AWS)?"
        ) from None


def _complaint(body: Any) -> str:
    if not isinstance(body, dict):
        return ""
    failed = [f"{each.get('id')}: {each.get('error', {}).get('type')}" for each in body.get("errors") or []]
    return "; ".join(failed) or str(body.get("message", ""))[:300]


def _place(url: str) -> str:
    """The address without user and password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
