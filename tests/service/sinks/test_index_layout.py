"""Names, templates and policies of the index, and who may reach it: what needs no server."""

import datetime
import hashlib
import re
import ssl

import jsonschema
import pytest
from botocore.credentials import Credentials

from service.pipeline.documents import timestamp
from service.sinks.index import IndexSetupError
from service.sinks.index.auth import Auth, Signer
from service.sinks.index.opensearch import OpenSearchIndex, _identity
from service.sinks.index.prepare import Layout, flat, ilm_policy, ism_policy, steps

MOMENT = timestamp(1_735_603_200_000)  # Tuesday, 31 December 2024, in ISO week 1 of 2025


@pytest.mark.parametrize(
    ("rotation", "name"),
    [
        ("NoRotation", "cw-all"),
        ("OneHour", "cw-2024.12.31.00"),
        ("OneDay", "cw-2024.12.31"),
        ("OneWeek", "cw-2025.w01"),
        ("OneMonth", "cw-2024.12"),
    ],
)
def test_an_index_is_named_by_event_time_and_found_by_its_template(rotation, name):
    layout = Layout("cw", ("v",), rotation)
    assert layout.index(MOMENT) == name
    assert "anomaly_score" in layout.mapping_of(name)["properties"]
    patterns = layout.templates(serverless=False, lifecycle=False)["cw"]["index_patterns"]
    assert any(re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), name) for pattern in patterns)


@pytest.mark.parametrize("name", ["cw", "cw-b-2024.12.31", "cw-notes", "other-2024.12.31", "cw-2024"])
def test_other_indices_are_not_ours(name):
    assert Layout("cw", ("v",)).mapping_of(name) is None


def test_templates_of_prefixes_that_begin_alike_have_different_priorities():
    short, long = (Layout(prefix, ()).templates(serverless=False, lifecycle=False)[prefix] for prefix in ("a", "a-b"))
    assert long["priority"] > short["priority"]


def test_a_template_changes_its_digest_with_its_content_only():
    def digest(*features):
        return Layout("cw", features).templates(serverless=False, lifecycle=False)["cw"]["_meta"]["digest"]

    assert digest("a") == digest("a") != digest("a", "b")


def test_serverless_collections_get_no_settings_that_they_refuse():
    templates = Layout("cw", ()).templates(serverless=True, lifecycle=False)
    assert all(template["template"]["settings"] == {"index": {}} for template in templates.values())


def test_flat_names_every_field():
    fields = {"properties": {"a": {"type": "long"}, "b": {"properties": {"c": {"type": "keyword"}}}}}
    assert flat(fields) == {"a": "long", "b.c": "keyword"}


# Written from the vendors' documentation: no server under test has these services.
AGE = {"type": "string", "pattern": r"^[0-9]+(d|h|m|s|ms)$"}
ISM = {
    "type": "object",
    "required": ["policy"],
    "additionalProperties": False,
    "properties": {
        "policy": {
            "type": "object",
            "required": ["description", "default_state", "states"],
            "additionalProperties": False,
            "properties": {
                "description": {"type": "string"},
                "default_state": {"type": "string"},
                "ism_template": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["index_patterns"],
                        "additionalProperties": False,
                        "properties": {
                            "index_patterns": {"type": "array", "items": {"type": "string"}, "minItems": 1},
                            "priority": {"type": "integer", "minimum": 0},
                        },
                    },
                },
                "states": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["name", "actions", "transitions"],
                        "additionalProperties": False,
                        "properties": {
                            "name": {"type": "string"},
                            "actions": {"type": "array", "items": {"enum": [{"delete": {}}]}},
                            "transitions": {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    "required": ["state_name"],
                                    "additionalProperties": False,
                                    "properties": {
                                        "state_name": {"type": "string"},
                                        "conditions": {
                                            "type": "object",
                                            "additionalProperties": False,
                                            "properties": {"min_index_age": AGE},
                                        },
                                    },
                                },
                            },
                        },
                    },
                },
            },
        }
    },
}
ILM = {
    "type": "object",
    "required": ["policy"],
    "additionalProperties": False,
    "properties": {
        "policy": {
            "type": "object",
            "required": ["phases"],
            "additionalProperties": False,
            "properties": {
                "_meta": {"type": "object"},
                "phases": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "delete": {
                            "type": "object",
                            "additionalProperties": False,
                            "properties": {"min_age": AGE, "actions": {"enum": [{"delete": {}}]}},
                        }
                    },
                },
            },
        }
    },
}


def test_retention_policies_follow_the_documented_schema():
    layout = Layout("cw", ("v",), retention_days=30)
    ism, ilm = ism_policy(layout), ilm_policy(layout)
    jsonschema.validate(ism, ISM)
    jsonschema.validate(ilm, ILM)
    states = {state["name"]: state for state in ism["policy"]["states"]}
    kept = states[ism["policy"]["default_state"]]
    (transition,) = kept["transitions"]
    assert transition["conditions"] == {"min_index_age": "31d"}
    assert states[transition["state_name"]]["actions"] == [{"delete": {}}]


@pytest.mark.parametrize(
    ("rotation", "age"), [("OneHour", "31d"), ("OneDay", "31d"), ("OneWeek", "37d"), ("OneMonth", "61d")]
)
def test_an_index_lives_until_its_last_document_is_old_enough(rotation, age):
    policy = ilm_policy(Layout("cw", ("v",), rotation, retention_days=30))
    assert policy["policy"]["phases"]["delete"]["min_age"] == age


async def test_one_index_for_everything_has_no_retention():
    step, *_ = await steps(Documented("opensearch"), Layout("cw", ("v",), "NoRotation", retention_days=30))
    assert (step.state, step.take) == ("unavailable", None)
    assert "set index_rotation" in step.detail


class Documented:
    """A server that answers as the vendors' documentation shows, remembering what it is told."""

    serverless = False
    objects = "object"

    def __init__(self, distribution, policy=None):
        self.distribution = distribution
        self.policy = policy
        self.puts = []
        self.templates = {}

    async def request(self, method, path, body=None):
        if method == "PUT":
            if "/_index_template/" in path:
                self.templates[path] = {"index_templates": [{"index_template": body}]}
            else:
                self.puts.append(path)
                self.policy = body["policy"]
            return {"acknowledged": True}
        if "/_index_template/" in path:
            return self.templates.get(path)
        if path == "/_ilm/status":
            return {"operation_mode": "RUNNING"}
        if self.policy is None or "_mapping" in path:
            return None
        if self.distribution == "opensearch":
            return {"_id": "cw", "_version": 2, "_seq_no": 10, "_primary_term": 3, "policy": self.policy}
        return {"cw": {"version": 1, "modified_date": "2026-01-01T00:00:00.000Z", "policy": self.policy}}

    def error(self, reason):
        return IndexSetupError(reason)


@pytest.mark.parametrize(
    ("distribution", "path", "change"),
    [
        ("opensearch", "/_plugins/_ism/policies/cw", "?if_seq_no=10&if_primary_term=3"),
        ("elasticsearch", "/_ilm/policy/cw", ""),
    ],
)
async def test_a_policy_is_made_kept_and_changed_as_documented(distribution, path, change):
    server = Documented(distribution)

    async def policy_step(days):
        step, *others = await steps(server, Layout("cw", ("v",), retention_days=days))
        lifecycle = others[0].take.args[-1]["template"]["settings"]["index"].get("lifecycle.name")
        assert lifecycle == (None if distribution == "opensearch" else "cw")
        if step.take:
            await step.take()
        return step.state

    assert [await policy_step(days) for days in (30, 30, 60)] == ["create", "present", "update"]
    assert server.puts == [path, path + change]


@pytest.mark.parametrize(
    ("info", "objects"),
    [
        ({"version": {"number": "3.8.0", "distribution": "opensearch"}}, "flat_object"),
        ({"version": {"number": "2.7.0", "distribution": "opensearch"}}, "flat_object"),
        ({"version": {"number": "2.6.9", "distribution": "opensearch"}}, "object"),
        ({"version": {"number": "7.10.2", "distribution": "opensearch"}}, "object"),
        ({"version": {"number": "7.10.2"}, "tagline": "The OpenSearch Project: https://opensearch.org/"}, "object"),
        ({"version": {"number": "7.10.2", "build_flavor": "oss"}, "tagline": "You Know, for Search"}, "object"),
        ({"version": {"number": "7.10.2", "build_flavor": "default"}}, "flattened"),
        ({"version": {"number": "9.5.3"}, "tagline": "You Know, for Search"}, "flattened"),
    ],
)
def test_how_a_server_takes_records_is_known_from_what_it_is(info, objects):
    assert _identity(info, "host")[2] == objects
    wanted = {"type": objects} | ({"enabled": False} if objects == "object" else {})
    assert Layout("cw", (), objects=objects).mapping_of("cw-all")["properties"]["record"] == wanted


@pytest.mark.parametrize("distribution", ["opensearch", "elasticsearch"])
async def test_a_run_that_may_not_look_at_policies_finds_the_templates_that_setup_made(distribution):
    server, layout = Documented(distribution), Layout("cw", ("v",), retention_days=30)
    for step in await steps(server, layout):
        await step.take()
    assert {step.state for step in await steps(server, layout, retention=False)} == {"present"}
    assert {step.state for step in await steps(server, layout)} == {"present"}


@pytest.mark.parametrize("distribution", ["opensearch", "elasticsearch"])
async def test_a_policy_of_somebody_else_stays(distribution):
    server = Documented(distribution, {"description": "theirs", "phases": {}})
    with pytest.raises(IndexSetupError, match="is not Cutwater's; set another index_prefix"):
        await steps(server, Layout("cw", ("v",), retention_days=30))
    assert server.puts == []


# Who we are


# AWS's own signing test suite (header-signed requests of tests/aws-signing-test-suite/v4 in its repository aws-c-auth),
# as far as its requests have no headers of their own: we sign none. By name: method, path, token, signature.
UNRESERVED = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
TOKEN = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267"
VECTORS = {
    "get-vanilla": ("GET", "/", None, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    "post-vanilla": ("POST", "/", None, "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    "post-vanilla-query": (
        "POST", "/?Param1=value1", None, "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
    ),
    "get-vanilla-query-order-key-case": (
        "GET", "/?Param2=value2&Param1=value1", None,
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    "get-vanilla-query-unreserved": (
        "GET", f"/?{UNRESERVED}={UNRESERVED}", None,
        "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
    ),
    "get-vanilla-utf8-query": (
        "GET", "/?%E1%88%B4=bar", None, "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
    ),
    "get-vanilla-with-session-token": (
        "GET", "/", TOKEN, "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8",
    ),
}  # fmt: skip
KEY = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")


@pytest.fixture
def in_2015(monkeypatch):
    moment = datetime.datetime(2015, 8, 30, 12, 36)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: moment)


@pytest.mark.parametrize("name", VECTORS)
def test_the_signature_is_that_of_the_published_vectors(name, in_2015):
    method, path, token, signature = VECTORS[name]
    signer = Signer(Credentials(*KEY, token), "service", "us-east-1", hash_header=False)
    signed = signer(method, f"https://example.amazonaws.com{path}", None, {"user-agent": "not signed"})
    headers = "host;x-amz-date" + (";x-amz-security-token" if token else "")
    assert signed["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={headers}, Signature={signature}"
    )


def test_the_announced_hash_is_that_of_the_published_vector(in_2015):
    """post-x-www-form-urlencoded of the same suite."""
    signed = Signer(Credentials(*KEY), "service", "us-east-1")("POST", "https://host/", b"Param1=value1", {})
    assert signed["X-Amz-Content-SHA256"] == "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e"


def test_a_signed_body_is_announced_and_text_and_bytes_sign_alike(in_2015):
    signer = Signer(Credentials(*KEY), "aoss", "eu-central-1")
    url = "https://abc.eu-central-1.aoss.amazonaws.com/_bulk?filter_path=errors%2Citems"
    signed = signer("POST", url, b'{"create":{}}\n', {})
    assert signed == signer("POST", url, '{"create":{}}\n', {"user-agent": "does not matter"})
    assert signed["X-Amz-Content-SHA256"] == hashlib.sha256(b'{"create":{}}\n').hexdigest()
    assert "SignedHeaders=host;x-amz-content-sha256;x-amz-date" in signed["Authorization"]
    assert signed["Authorization"] != signer("POST", url, b"{}", {})["Authorization"]


def test_a_token_of_a_role_is_signed_too(in_2015):
    signed = Signer(Credentials("A", "s", "token"), "es", "us-east-1")("GET", "https://host/", None, {})
    assert signed["X-Amz-Security-Token"] == "token"
    assert "x-amz-security-token" in signed["Authorization"]


def test_secrets_do_not_show():
    text = repr(Auth(user="u", password="geheim", api_key="geheim"))
    assert "geheim" not in text


@pytest.mark.parametrize(
    ("auth", "url", "message"),
    [
        (Auth(user="u", api_key="k"), "https://host", "set one of opensearch_user"),
        (Auth(api_key="k"), "https://user:word@host", "set one of opensearch_user"),
        (Auth(ca="ca.pem"), "http://host", "need an opensearch_url with https"),
        (Auth(ca="nowhere.pem"), "https://host", r"opensearch_ca = 'nowhere.pem': No such file.*name a PEM file"),
        (Auth(client_certificate="no.pem"), "https://host", r"opensearch_client_cert = 'no.pem': No such file"),
    ],
)
def test_contradictions_and_missing_files_are_named(auth, url, message):
    with pytest.raises(IndexSetupError, match=message) as caught:
        OpenSearchIndex(url, "cw", ("v",), auth=auth)
    assert "word" not in str(caught.value)


def test_a_file_that_holds_no_certificate_is_named(tmp_path):
    (tmp_path / "ca.pem").write_text("not PEM")
    with pytest.raises(IndexSetupError, match="no certificate"):
        Auth(ca=tmp_path / "ca.pem").client_options("https://host")


async def test_an_own_authority_replaces_the_systems(tmp_path):
    options = Auth(user="u", password="p").client_options("https://host")
    assert options["http_auth"] == ("u", "p")
    assert options["ssl_context"].verify_mode == ssl.CERT_REQUIRED
    assert options["ssl_context"].check_hostname
