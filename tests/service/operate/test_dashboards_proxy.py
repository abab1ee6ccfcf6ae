"""A browser on this machine reaches Dashboards of a domain, through an address by another name."""

import asyncio
import contextlib
import ssl

import aiohttp
import pytest
from aiohttp import web
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from yarl import URL

from service.operate.dashboards.proxy import ProxyError, serving
from service.sinks.index.auth import Auth
from tests.servers.security import Authority

DOMAIN = "vpc-search-abc123.eu-west-1.es.amazonaws.com"
KEY, SECRET = "AKIDEXAMPLE", "geheim"
SIGNED = ("host", "x-amz-content-sha256", "x-amz-date")


@pytest.fixture
def authority(tmp_path):
    """Of the domain's certificate, which is good for the domain's name alone."""
    made = Authority(tmp_path)
    made.issue("domain", names=(DOMAIN,))
    return made


@contextlib.asynccontextmanager
async def domain(authority):
    """Dashboards that let nobody in but with a right signature for the domain's own name; yields its port."""
    asked = []

    async def handle(request):
        body = await request.read()
        headers = {name: request.headers[name] for name in SIGNED[1:]}
        again = AWSRequest(request.method, f"https://{DOMAIN}{request.raw_path}", data=body, headers=headers)
        again.context["timestamp"] = request.headers["X-Amz-Date"]
        auth = SigV4Auth(Credentials(KEY, SECRET), "es", "eu-west-1")
        signature = auth.signature(auth.string_to_sign(again, auth.canonical_request(again)), again)
        asked.append((request.method, request.host, request.raw_path, body, dict(request.headers)))
        if request.host != DOMAIN or not request.headers["Authorization"].endswith(f"Signature={signature}"):
            return web.json_response({"message": "The request signature we calculated does not match"}, status=403)
        if request.path == "/_dashboards/":
            answer = web.Response(status=302, headers={"Location": f"https://{DOMAIN}/_dashboards/app/home"})
            answer.headers.add("Set-Cookie", f"security=1; Secure; HttpOnly; Domain={DOMAIN}; Path=/")
            answer.headers.add("Set-Cookie", "other=2; SameSite=Lax")
            return answer
        return web.Response(body=body[::-1] or b"home" * 100_000, headers={"osd-name": "search"})

    app = web.Application(client_max_size=1 << 24)
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority.folder / "domain.pem", authority.folder / "domain-key.pem")
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield runner.addresses[0][1], asked
    finally:
        await runner.cleanup()


@pytest.fixture
async def proxied(authority, monkeypatch):
    """The proxy's address for the browser, what the domain was asked, and a browser."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    auth = Auth(ca=authority.folder / "ca.pem", aws="es", region="eu-west-1")
    url = f"https://{DOMAIN}/_dashboards"
    async with (
        domain(authority) as (port, asked),
        serving(url, auth, through=f"127.0.0.1:{port}", port=0) as address,
        aiohttp.ClientSession() as browser,
    ):
        yield address, asked, browser


async def test_the_domain_is_asked_by_its_own_name_and_with_a_right_signature(proxied):
    address, asked, browser = proxied
    async with browser.get(URL(f"{address}app/home?a=b%20c&d=/%2F", encoded=True)) as answer:
        assert answer.status == 200
        assert answer.headers["osd-name"] == "search"
        assert await answer.read() == b"home" * 100_000
    method, host, path, _, _ = asked[-1]
    assert (method, host, path) == ("GET", DOMAIN, "/_dashboards/app/home?a=b%20c&d=/%2F")


async def test_bodies_go_and_come_whole(proxied):
    address, asked, browser = proxied
    body = bytes(range(256)) * 20_000
    async with browser.post(f"{address}api/saved_objects/_import", data=body, headers={"osd-xsrf": "true"}) as answer:
        assert answer.status == 200
        assert await answer.read() == body[::-1]
    assert asked[-1][4]["osd-xsrf"] == "true"


async def test_redirects_and_cookies_are_for_this_machine(proxied):
    address, _, browser = proxied
    async with browser.get(address, allow_redirects=False) as answer:
        assert answer.status == 302
        assert answer.headers["Location"] == f"{address}app/home"
        assert answer.headers.getall("Set-Cookie") == ["security=1; HttpOnly; Path=/", "other=2; SameSite=Lax"]


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {"Host": "evil.example"}),  # whose name leads to 127.0.0.1
        ("POST", {"Origin": "https://evil.example"}),
        ("POST", {"Sec-Fetch-Site": "cross-site"}),
    ],
)
async def test_what_another_site_makes_the_browser_ask_is_refused(proxied, method, headers):
    address, asked, browser = proxied
    async with browser.request(method, f"{address}api/status", headers=headers) as answer:
        assert answer.status == 403
    assert not asked


async def test_a_page_of_its_own_may_post(proxied):
    address, asked, browser = proxied
    origin = address.removesuffix("/_dashboards/")
    headers = {"Origin": origin, "Sec-Fetch-Site": "same-origin", "Referer": f"{address}app/home"}
    async with browser.post(f"{address}api/x", headers=headers) as answer:
        assert answer.status == 200
    assert asked[-1][4]["Origin"] == f"https://{DOMAIN}"
    assert asked[-1][4]["Referer"] == f"https://{DOMAIN}/_dashboards/app/home"


async def test_what_leads_nowhere_is_said(authority):
    with contextlib.closing(await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)) as server:
        port = server.sockets[0].getsockname()[1]
    auth = Auth(ca=authority.folder / "ca.pem", user="u", password="p")
    async with (
        serving(f"https://{DOMAIN}/_dashboards", auth, through=f"127.0.0.1:{port}", port=0) as address,
        aiohttp.ClientSession() as browser,
        browser.get(address) as answer,
    ):
        assert answer.status == 502
        assert DOMAIN in await answer.text()


@pytest.mark.parametrize(
    ("url", "through", "complaint"),
    [
        ("search.example", "", "give its whole address"),
        ("https://search.example", "8443", "give HOST:PORT"),
        ("https://search.example", "localhost:x", "give HOST:PORT"),
    ],
)
async def test_wrong_addresses_are_refused(url, through, complaint):
    with pytest.raises(ProxyError, match=complaint):
        async with serving(url, Auth(), through=through, port=0):
            pass
