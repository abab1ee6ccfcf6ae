"""``cutwater setup`` shows what it would do, does it once, and changes nothing of anybody else's."""

from service.index.opensearch import OpenSearchIndex
from service.setup import set_up
from tests.service.stores import FEATURES, entry


def everything(remote):
    """All templates and indices on the server that begin like ours."""
    templates = remote.server.request("GET", "/_index_template").get("index_templates", [])
    names = [each["name"] for each in templates if each["name"].startswith(remote.prefix)]
    return sorted(names), sorted(remote.server.request("GET", f"/{remote.prefix}*/_mapping"))


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


async def test_the_plan_is_shown_carried_out_and_then_present(remote):
    planned = await run(remote, dry_run=True)
    assert planned[0] == f"  create       index template '{remote.prefix}'"
    assert planned[-1] == "Nothing was changed; leave out --dry-run to carry this out."
    assert everything(remote) == ([], [])

    done = await run(remote, dry_run=False)
    letters = f"{remote.prefix}-deadletter"
    assert done == [f"  created      index template {name!r}" for name in (remote.prefix, letters)]
    assert everything(remote) == ([remote.prefix, letters], [])

    again = await run(remote, dry_run=False)
    assert again == [line.replace("created", "present") for line in done]


async def test_a_new_value_updates_templates_and_indices_in_place(remote, remote_index):
    await remote_index.write([entry(0), entry(2000)])
    before = remote.documents()
    lines = await run(remote, dry_run=False, features=(*FEATURES, "pressure"))
    added = "expected_values_pressure, feature_data_pressure, relevant_attribution_pressure"
    assert lines == [
        f"  updated      index template '{remote.prefix}'",
        f"  present      index template '{remote.prefix}-deadletter'",
        f"  updated      fields of index '{remote.prefix}-2023.11.15': {added}",
        f"  updated      fields of index '{remote.prefix}-2023.11.16': {added}",
    ]
    assert remote.documents() == before


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
    assert len(lines) == 3


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
