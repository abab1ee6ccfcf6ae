"""``cutwater setup`` shows what it would do, does it once, and changes nothing of anybody else's."""

import base64
import contextlib

import orjson
import pytest
from aiohttp import web

from service.operate.setup import set_up
from service.sinks.dead_letters.format import describe_letter
from service.sinks.index import IndexSetupError
from service.sinks.index.auth import Auth
from service.sinks.index.opensearch import OpenSearchIndex, _identity
from service.stores import opened
from tests.servers import applications, opensearch
from tests.service.stores import FEATURES, entry, letter

BY_HAND = "  by hand      dashboards: give --dashboards-url, or import the file of `cutwater dashboards write FILE`"


def everything(remote):
    """All templates and indices on the server that begin like ours."""
    templates = remote.server.request("GET", "/_index_template").get("index_templates", [])
    names = [each["name"] for each in templates if each["name"].startswith(remote.prefix)]
    return sorted(names), sorted(remote.server.request("GET", f"/{remote.prefix}*/_mapping"))


def records(remote):
    """What the plan says of them."""
    kind = {"opensearch": "flat_object", "elasticsearch": "flattened"}[remote.server.spec.distribution]
    return f"records (index_record) as {kind}"


async def run(remote, *, features=FEATURES, **options):
    """Set up; the lines that the user sees, without the first."""
    lines = []
    index = OpenSearchIndex(remote.server.url, remote.prefix, features, retention_days=options.pop("retention_days", 0))
    try:
        await set_up(index, tell=lines.append, **options)
    finally:
        await index.close()
    assert lines[0].startswith(f"{remote.server.spec.distribution} {remote.server.spec.version}, indices")
    return lines[1:]


@pytest.mark.compatibility("Setup")
async def test_the_plan_is_shown_carried_out_and_then_present(remote):
    letters = f"{remote.prefix}-deadletter"
    templates = [f"index template {name!r}" for name in (remote.prefix, letters)]
    templates[0] += f": {records(remote)}"
    plan = [*(f"  create       {each}" for each in templates), BY_HAND]
    planned = await run(remote, dry_run=True)
    assert planned == [*plan, "Nothing was changed; leave out --dry-run to carry this out."]
    assert everything(remote) == ([], [])

    done = await run(remote, dry_run=False)
    assert done == [*plan, "Carrying it out:", *(f"  created      {each}" for each in templates)]
    assert everything(remote) == ([remote.prefix, letters], [])

    again = await run(remote, dry_run=False)
    assert again == [*(f"  present      {each}" for each in templates), BY_HAND, "Nothing to do."]


@pytest.mark.compatibility("Upgrade in place")
async def test_a_new_value_updates_templates_and_indices_in_place(remote, remote_index):
    await remote_index.write([entry(0), entry(2000)])
    before = remote.documents()
    lines = await run(remote, dry_run=False, features=(*FEATURES, "pressure"))
    kinds = ("expected_lower", "expected_upper", "expected_values", "feature_data", "relevant_attribution")
    added = ", ".join(f"{kind}_pressure" for kind in kinds)
    assert lines[lines.index("Carrying it out:") + 1 :] == [
        f"  updated      index template '{remote.prefix}': {records(remote)}",
        f"  updated      fields of index '{remote.prefix}-2023.11.15': {added}",
        f"  updated      fields of index '{remote.prefix}-2023.11.16': {added}",
    ]
    assert remote.documents() == before


async def test_when_a_server_learns_to_search_records_new_indices_do(remote, monkeypatch):
    with monkeypatch.context() as older:
        older.setattr(
            "service.sinks.index.opensearch._identity", lambda info, place: (*_identity(info, place)[:2], "object")
        )
        async with opened(remote.index()) as index:
            await index.write([entry(0)])
    template = f"  updated      index template '{remote.prefix}': {records(remote)}"
    assert [line for line in await run(remote, dry_run=False) if "updated" in line] == [template]
    async with opened(remote.index()) as index:
        await index.write([entry(1, record={"a": 1}), entry(2000, record={"a": 1})])
    assert remote.found({"term": {"record.a": "1"}}) == [entry(2000).id]
    assert remote.documents()[entry(1).id]["record"] == {"a": 1}


async def test_what_an_administrator_tuned_stays(remote):
    await run(remote, dry_run=False)
    path = f"/_index_template/{remote.prefix}"
    (present,) = remote.server.request("GET", path)["index_templates"]
    template = {key: present["index_template"][key] for key in ("index_patterns", "priority", "_meta", "template")}
    template["template"]["settings"]["index"]["number_of_replicas"] = "3"
    remote.server.request("PUT", path, template)
    assert (await run(remote, dry_run=False))[0].startswith("  present")
    (present,) = remote.server.request("GET", path)["index_templates"]
    assert present["index_template"]["template"]["settings"]["index"]["number_of_replicas"] == "3"


async def test_a_server_without_retention_says_so_and_the_rest_is_done(remote):
    """The servers under test come without their vendors' retention plugins; the requests are checked by schema."""
    lines = await run(remote, dry_run=False, retention_days=30)
    assert lines[0].startswith(f"  unavailable  retention policy '{remote.prefix}' (30 days): the server has no such")
    assert [line.split()[0] for line in lines[-2:]] == ["created", "created"]


@pytest.mark.compatibility("What is not ours stays")
async def test_a_shorter_prefix_leaves_a_longer_one_alone(remote):
    longer = OpenSearchIndex(remote.server.url, f"{remote.prefix}-b", FEATURES)
    shorter = OpenSearchIndex(remote.server.url, remote.prefix, ("other",))
    for index in (longer, shorter):
        await index.open()
    await longer.write([entry(0)])
    await shorter.write([entry(1)])
    await shorter.open()  # adds its fields to its own indices only
    for index in (longer, shorter):
        await index.close()
    mapping = remote.server.request("GET", f"/{remote.prefix}-b-2023.11.15/_mapping")
    (body,) = mapping.values()
    assert "feature_data_temperature" in body["mappings"]["properties"]
    assert "feature_data_other" not in body["mappings"]["properties"]
    assert remote.server.count(remote.prefix) == 1
    assert remote.server.count(f"{remote.prefix}-b") == 1


async def test_a_server_that_asks_who_we_are_is_looked_at_and_not_changed_by_a_run(remote):
    """The rights themselves: tests/service/sinks/test_index_security.py."""
    auth = Auth(user="u", password="p")
    index = OpenSearchIndex(remote.server.url, remote.prefix, FEATURES, auth=auth)
    with pytest.raises(IndexSetupError, match=rf"lacks index template '{remote.prefix}'.*run `cutwater setup`"):
        await index.open()
    assert everything(remote) == ([], [])
    await run(remote, dry_run=False)
    await index.open()
    await index.close()


@pytest.mark.compatibility("Teardown")
async def test_everything_of_ours_can_be_removed_as_the_documentation_says(remote, remote_index):
    """docs/how-to/opensearch.md, "Removing"."""
    other = f"{remote.prefix}x-2023.11.15"
    remote.server.request("PUT", f"/{other}", {})
    await remote_index.write([entry(0), entry(2000)])
    await remote_index.index_dead_letters([describe_letter(letter(1))])
    for name in everything(remote)[1]:
        if name.startswith(f"{remote.prefix}-"):
            assert remote.server.request("DELETE", f"/{name}")["acknowledged"]
    for name in (remote.prefix, f"{remote.prefix}-deadletter"):
        assert remote.server.request("DELETE", f"/_index_template/{name}")["acknowledged"]
    assert everything(remote) == ([], [other])
    remote.server.request("DELETE", f"/{other}")


# Dashboards: the two calls as their documentation has them; neither Dashboards nor Kibana can be had here.


class Dashboards:
    """Saved objects behind ``_export`` and ``_import``."""

    def __init__(self):
        self.objects = {}
        self.imports = 0
        self.users = set()

    @contextlib.asynccontextmanager
    async def serve(self):
        app = web.Application()
        app.router.add_post("/base/api/saved_objects/_export", self.export)
        app.router.add_post("/base/api/saved_objects/_import", self.load)
        async with applications.serve(app) as address:
            yield f"{address}/base"

    def admit(self, request):
        assert request.headers["osd-xsrf"] == request.headers["kbn-xsrf"] == "true"
        self.users.add(base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode())

    async def export(self, request):
        self.admit(request)
        (wanted,) = (await request.json())["objects"]
        if (found := self.objects.get((wanted["type"], wanted["id"]))) is None:
            return web.json_response({"statusCode": 400, "message": "Bad Request"}, status=400)
        return web.Response(body=orjson.dumps(found) + b"\n", content_type="application/ndjson")

    async def load(self, request):
        self.admit(request)
        assert request.query["overwrite"] == "true"
        part = (await request.post())["file"]
        assert part.filename.endswith(".ndjson")
        for line in part.file.read().splitlines():
            each = orjson.loads(line)
            self.objects[each["type"], each["id"]] = each
        self.imports += 1
        return web.json_response({"success": True, "successCount": len(self.objects)})


@pytest.fixture
def server():
    """One server will do."""
    return opensearch.shared(opensearch.OPENSEARCH_3).url


async def import_dashboards(server, prefix, url, features=FEATURES):
    lines = []
    index = OpenSearchIndex(server, prefix, features)
    try:
        await set_up(
            index, dry_run=False, tell=lines.append, dashboards_url=url, auth=Auth(user="u", password="geheim")
        )
    finally:
        await index.close()
    return [line.split()[0] for line in lines if "dashboard " in line]


async def test_dashboards_are_imported_once_and_again_when_they_change(server):
    dashboards, prefix = Dashboards(), opensearch.unique_prefix()
    async with dashboards.serve() as url:
        assert await import_dashboards(server, prefix, url) == ["create", "created"]
        assert await import_dashboards(server, prefix, url) == ["present"]
        assert await import_dashboards(server, prefix, url, features=("other",)) == ["update", "updated"]
    assert dashboards.imports == 2
    assert ("dashboard", prefix) in dashboards.objects
    assert dashboards.users == {"u:geheim"}


async def test_a_dashboard_of_somebody_else_stays(server):
    dashboards, prefix = Dashboards(), opensearch.unique_prefix()
    theirs = {"type": "dashboard", "id": prefix, "attributes": {"title": "Theirs"}}
    dashboards.objects["dashboard", prefix] = theirs
    async with dashboards.serve() as url:
        with pytest.raises(IndexSetupError, match="is not Cutwater's"):
            await import_dashboards(server, prefix, url)
    assert dashboards.objects == {("dashboard", prefix): theirs}


async def test_what_is_no_dashboards_is_said_without_the_password(server):
    with pytest.raises(IndexSetupError, match="with its base path") as caught:
        await import_dashboards(server, opensearch.unique_prefix(), "http://u:geheim@127.0.0.1:9/nowhere")
    assert "geheim" not in str(caught.value)


async def test_the_index_itself_is_no_dashboards(server):
    """It, too, answers 400, which Dashboards says of objects that are not there."""
    with pytest.raises(IndexSetupError, match="400; dashboards_url must be that of OpenSearch Dashboards or Kibana"):
        await import_dashboards(server, opensearch.unique_prefix(), server)


async def test_a_page_to_sign_in_at_is_no_dashboards(server):
    async def page(_):
        return web.Response(text="<html>Sign in</html>", content_type="text/html")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", page)
    async with applications.serve(app) as url:
        with pytest.raises(IndexSetupError, match="its answer is no JSON; dashboards_url must be that of"):
            await import_dashboards(server, opensearch.unique_prefix(), url)
