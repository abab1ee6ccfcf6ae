"""Who may use the API: every route with every kind of token, and what is refused to pages of other sites."""

import asyncio
import logging
import ssl

import httpx
import pytest

from service.api.access import Access, Role, needed
from service.api.app import build
from service.pipeline.records import DeadLetter, Position, Record
from service.settings.model import SettingsError, load
from service.worker.server import serve
from tests.servers.browser import chromium
from tests.service.api.conftest import ROWS
from tests.service.api.conftest import serving as serving_api
from tests.service.sinks.test_recent_scores import batch

OPERATE, READ = "operate-0123456789abcdef", "reads-0123456789abcdef"
TOKENS = {"api_token": OPERATE, "api_read_token": READ}
GIVEN = {
    "none": {},
    "wrong": {"authorization": "Bearer wrong-0123456789abcdef"},
    "empty": {"authorization": "Bearer"},
    "basic": {"authorization": f"Basic {OPERATE}"},
    "read": {"authorization": f"Bearer {READ}"},
    "operate": {"authorization": f"bearer {OPERATE}"},
}
PUBLIC = {"/", "/health", "/ready", "/docs", "/page/main.js", "/static-offline-docs/swagger-ui.css"}
BODY = {"sensor": "boiler", "values": {"v": 1.0}}


def letter() -> DeadLetter:
    return DeadLetter(
        "RawStreamData", "shardId-0", Record(Position(1), "key", 1_700_000_000_000, b"secret"), "not_json", ""
    )


async def operations(client):
    """Every route that the service describes, and those that it does not."""
    described = (await client.get("/openapi.json", headers=GIVEN["read"])).json()["paths"]
    found = [
        (method.upper(), path.replace("{", "").replace("}", "")) for path in described for method in described[path]
    ]
    return [*found, *(("GET", path) for path in sorted(PUBLIC | {"/openapi.json", "/nothing"}))]


async def status_of(client, method, path, headers):
    body = {"json": BODY} if method == "POST" else {}
    async with asyncio.timeout(30), client.stream(method, path, headers=headers, **body) as answer:
        return answer


async def test_every_route_asks_for_the_role_that_it_needs(tmp_path):
    # A server of its own: an answer without an end is left after its first line.
    async with (
        serving_api(tmp_path, **TOKENS) as (service, _),
        serve(build(service), "127.0.0.1", 0) as address,
        httpx.AsyncClient(base_url=address) as client,
    ):
        service.recent.append(batch(ROWS))
        every = await operations(client)
        assert len(every) >= 17
        for method, path in every:
            for kind, headers in GIVEN.items():
                answer = await status_of(client, method, path, headers)
                least = needed(method, path)
                assert (path in PUBLIC | {"/health", "/ready"}) == (least is Role.NOBODY), path
                role = {"read": Role.READ, "operate": Role.OPERATE}.get(kind, Role.NOBODY)
                if role >= least:
                    assert answer.status_code not in (401, 403), (method, path, kind)
                else:
                    assert answer.status_code == (403 if role else 401), (method, path, kind)
                    assert ("www-authenticate" in answer.headers) == (not role)
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
                assert answer.headers["referrer-policy"] == "no-referrer"
                assert not any(name.startswith("access-control") for name in answer.headers)


def test_what_changes_something_needs_to_operate_whatever_its_path():
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert needed(method, "/anything") is needed(method, "/") is needed(method, "/health") is Role.OPERATE
    assert needed("POST", "/score") is Role.READ
    assert needed("GET", "/page") is needed("GET", "/pages/x") is needed("GET", "//health") is Role.READ


async def test_raw_bytes_of_dead_letters_are_for_those_who_operate(tmp_path):
    async with serving_api(tmp_path, **TOKENS) as (service, client):
        await service.letters.put([letter()])
        (read,) = (await client.get("/dead-letter", headers=GIVEN["read"])).json()["dead_letters"]
        (full,) = (await client.get("/dead-letter", headers=GIVEN["operate"])).json()["dead_letters"]
    assert read == full | {"rawData": None}
    assert full["rawData"] == "c2VjcmV0"


async def test_ready_says_why_to_those_who_may_read(tmp_path):
    async with serving_api(tmp_path, **TOKENS) as (_, client):
        stranger = await client.get("/ready")
        reader = await client.get("/ready", headers=GIVEN["read"])
    assert stranger.status_code == reader.status_code == 503
    assert stranger.json() == {"ready": False, "reasons": []}
    assert reader.json()["reasons"]


@pytest.mark.parametrize("given", [{"api_token": OPERATE}, {"api_token": OPERATE, "api_open": "false"}])
async def test_one_token_is_enough_and_no_empty_one_is_taken(tmp_path, given):
    async with serving_api(tmp_path, **given) as (_, client):
        assert (await client.get("/status", headers=GIVEN["operate"])).json()["role"] == "operate"
        assert (await client.get("/status", headers=GIVEN["empty"])).status_code == 401


async def test_no_token_is_logged_or_answered(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    async with serving_api(tmp_path, **TOKENS) as (_, client):
        answers = [await client.get(path, headers=GIVEN["wrong"]) for path in ("/status", "/openapi.json")]
        answers += [await client.get(path, headers=GIVEN["read"]) for path in ("/status", "/openapi.json")]
    shown = caplog.text + "".join(answer.text + repr(answer.headers) for answer in answers)
    assert not any(token in shown for token in (OPERATE, READ, "wrong-0123"))
    assert OPERATE not in repr(load(TOKENS, {}))


def test_an_open_address_is_refused_unless_it_is_meant(caplog):
    for host in ("0.0.0.0", "::", "10.1.2.3", "cutwater.example"):
        with pytest.raises(SettingsError, match="set api_token"):
            Access.of(load({"host": host}, {}))
    Access.of(load({"host": "0.0.0.0", "api_open": "true"}, {}))
    assert "open to everyone who reaches them" in caplog.text
    caplog.clear()
    assert Access.of(load({"host": "0.0.0.0", **TOKENS}, {})).closed
    for host in ("127.0.0.1", "::1", "localhost", "127.9.9.9"):
        assert not Access.of(load({"host": host}, {})).closed
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"api_token": "short"}, "16 or more"),
        ({"api_token": "has blanks in it, many of them"}, "without blanks"),
        ({"api_token": OPERATE, "api_read_token": OPERATE}, "must differ"),
        ({"api_token": OPERATE, "api_open": "true"}, "set one of the two"),
        ({"tls_key": "key.pem"}, "needs tls_certificate"),
        ({"root_path": "cutwater/"}, "root-path"),
    ],
)
def test_access_that_cannot_be_meant_is_refused(given, words):
    with pytest.raises(SettingsError, match=words) as caught:
        load(given, {})
    assert OPERATE not in str(caught.value)


async def test_pages_of_other_sites_change_and_read_nothing_where_there_is_no_token(tmp_path):
    async with serving_api(tmp_path) as (_, client):
        assert (await client.get("/status", headers={"host": "evil.example"})).status_code == 403
        for host in ("localhost:8080", "127.0.0.1:8080", "[::1]:8080", "10.0.0.7", "cutwater.localhost"):
            assert (await client.get("/status", headers={"host": host})).status_code == 200, host
        for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}):
            assert (await client.post("/score", json=BODY, headers=headers)).status_code == 403
        own = {"origin": "http://127.0.0.1"}
        assert (await client.post("/score", json=BODY, headers=own)).status_code == 404  # a sensor never seen
    async with serving_api(tmp_path, api_open="true") as (_, client):
        assert (await client.get("/status", headers={"host": "behind-a-proxy.example"})).status_code == 200


@pytest.mark.parametrize("taken_off", [True, False])
async def test_a_proxy_may_take_its_prefix_off_or_not(tmp_path, taken_off):
    prefix = "" if taken_off else "/cutwater"
    async with serving_api(tmp_path, root_path="/cutwater", api_token=OPERATE) as (_, client):
        assert (await client.get(f"{prefix}/health")).status_code == 200
        assert (await client.get(f"{prefix}/page/main.js")).status_code == 200
        assert (await client.get(f"{prefix}/status")).status_code == 401
        described = (await client.get(f"{prefix}/openapi.json", headers=GIVEN["operate"])).json()
        assert described["servers"] == [{"url": "/cutwater"}]
        moved = await client.get("/cutwater")
        assert (moved.status_code, moved.headers["location"]) == (307, "/cutwater/")


async def test_https_by_a_certificate_of_ones_own(tmp_path, certificate):
    path, key = certificate
    async with (
        serving_api(tmp_path, api_token=OPERATE) as (service, _),
        serve(build(service), "127.0.0.1", 0, path, key) as address,
        httpx.AsyncClient(base_url=address, verify=ssl.create_default_context(cafile=str(path))) as client,
    ):
        assert address.startswith("https://")
        assert (await client.get("/health")).status_code == 200


async def test_a_certificate_that_is_none_is_named(tmp_path):
    (tmp_path / "none.pem").write_text("nothing")
    for name, words in (("none.pem", "no PEM files"), ("absent.pem", "No such file")):
        with pytest.raises(Exception, match=words) as caught:
            async with serve(lambda: None, "127.0.0.1", 0, tmp_path / name):
                pass
        assert "tls_certificate" in str(caught.value)


@pytest.fixture
def certificate(tmp_path):
    """A certificate for 127.0.0.1 and its key."""
    from datetime import UTC, datetime, timedelta
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "cutwater")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    paths = tmp_path / "certificate.pem", tmp_path / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    paths[1].write_bytes(key.private_bytes(*form))
    return paths


async def test_the_page_asks_for_the_token_once_and_keeps_it_for_the_tab(tmp_path):
    complaints = []
    async with (
        serving_api(tmp_path, root_path="/cutwater", **TOKENS) as (service, _),
        serve(build(service), "127.0.0.1", 0) as address,
        chromium() as browser,
    ):
        service.recent.append(batch(ROWS))
        page = await (await browser.new_context()).new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(f"{address}/cutwater/?sensor=boiler")
        dialog = page.get_by_role("dialog", name="Token")
        await dialog.get_by_label("The service asks").fill("not-the-token-at-all")
        await dialog.get_by_role("button", name="Open").click()
        await dialog.get_by_text("That is not a token of this service.").wait_for()
        await dialog.get_by_label("The service asks").fill(READ)
        await dialog.get_by_role("button", name="Open").click()
        await page.get_by_text("Live", exact=True).wait_for()
        service.recent.append(batch([("boiler", 1_700_000_100_000, 99.0, True)]))  # comes by the stream of events
        await page.locator("#now", has_text="99").wait_for()
        async with page.expect_download() as download:
            await page.get_by_role("link", name="CSV").click()
        assert "boiler" in (await (await download.value).path()).read_text()
        await page.reload()
        await page.get_by_text("Live", exact=True).wait_for()
        assert await dialog.count() == 0
        await page.get_by_role("link", name="API").click()
        await page.wait_for_selector("#operations-default-scores")
        await page.go_back()
        await page.get_by_text("Live", exact=True).wait_for()
        await page.get_by_role("link", name="Metrics").click()
        await page.get_by_text("cutwater_build_info").first.wait_for()
        stored = await page.evaluate("JSON.stringify(localStorage)")
        assert READ not in stored
    refusals = [text for text in complaints if "401" in text]
    assert complaints == refusals, complaints  # none of the policy's
