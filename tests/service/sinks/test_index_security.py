"""A server that asks who we are: what least-privilege users may do, and one clear line for whatever goes wrong.

The server is real OpenSearch with its security plugin and the roles of deploy/opensearch-roles.yml.
"""

import asyncio
import contextlib
import re
import ssl

import pytest
from aiohttp import web
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from service.cli import main
from service.operate.setup import set_up
from service.sinks.index import IndexSetupError
from service.sinks.index.auth import Auth
from service.sinks.index.opensearch import OpenSearchIndex
from service.sinks.query import Filter
from service.stores import opened
from tests.servers import applications
from tests.servers.security import PASSWORD, Authority, Secured
from tests.service.stores import FEATURES, entry


@pytest.fixture(scope="module")
def server():
    with Secured() as server:
        yield server


def index(server, prefix="cutwater", **auth):
    return OpenSearchIndex(server.url, prefix, FEATURES, auth=Auth(ca=server.ca, **auth))


async def prepare(server):
    """``cutwater setup`` by the user whose role it is."""
    lines = []
    one = index(server, user="setup", password=PASSWORD)
    try:
        await set_up(one, dry_run=False, tell=lines.append)
    finally:
        await one.close()
    return lines


async def test_set_up_write_and_search_need_no_more_than_the_documented_roles(server):
    async with contextlib.AsyncExitStack() as stack:
        with pytest.raises(IndexSetupError, match=r"lacks index template 'cutwater'.*run `cutwater setup`"):
            await stack.enter_async_context(opened(index(server, user="run", password=PASSWORD)))
        made = "  created      index template 'cutwater': records (index_record) as flat_object"
        assert made in await prepare(server)
    async with opened(index(server, user="run", password=PASSWORD)) as one:
        assert await one.write([entry(number) for number in range(100)]) == []
        assert await one.write([entry(number) for number in range(100)]) == []
        assert await one.healthy() is None
        assert server.count("cutwater") == 100
        assert len((await one.search(Filter(), 1000)).documents) == 100
    wider = OpenSearchIndex(
        server.url, "cutwater", (*FEATURES, "pressure"), auth=Auth(ca=server.ca, user="setup", password=PASSWORD)
    )
    try:
        lines = []
        await set_up(wider, dry_run=False, tell=lines.append)
        assert any(line.startswith("  updated      fields of index 'cutwater-2023.11.15'") for line in lines)
    finally:
        await wider.close()


async def test_a_certificate_says_who_we_are(server):
    await prepare(server)
    folder = server.authority.folder
    auth = {"client_certificate": folder / "client.pem", "client_key": folder / "client-key.pem"}
    async with opened(index(server, **auth)) as one:
        assert await one.write([entry(2000)]) == []


@pytest.mark.parametrize(("user", "prefix"), [("reader", "cutwater"), ("run", "somebody-elses")])
async def test_a_refused_index_is_waited_for_and_named(server, caplog, user, prefix):
    """A user who may write nothing, and one who may not write there. The rights may be given while it waits."""
    await prepare(server)
    one = index(server, prefix, user=user, password=PASSWORD)
    writing = asyncio.create_task(one.write([entry(3000)]))
    async with asyncio.timeout(20):
        while "security_exception" not in (await one.healthy() or ""):  # noqa: ASYNC110 - the log has no event
            await asyncio.sleep(0.05)
    problem = await one.healthy()
    assert "no permissions for [indices:" in problem
    assert "docs/how-to/opensearch.md" in problem
    assert PASSWORD not in problem + caplog.text
    assert not writing.done()
    writing.cancel()
    await one.close()


@pytest.mark.parametrize(
    ("auth", "message"),
    [
        ({"user": "run", "password": f"not {PASSWORD}"}, "401.*not accepted; check the credentials"),
        ({"user": "nobody", "password": PASSWORD}, "401.*not accepted; check the credentials"),
        ({}, "401.*not accepted; check the credentials"),
        ({"api_key": "bm90OnZhbGlk"}, "401.*not accepted; check the credentials"),
    ],
)
async def test_who_is_not_known_is_told_so_at_once(server, auth, message):
    with pytest.raises(IndexSetupError, match=message) as caught:
        async with opened(index(server, **auth)):
            pass
    for secret in (PASSWORD, "bm90OnZhbGlk"):
        assert secret not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_set_up_without_the_right_names_the_privileges(server):
    one = index(server, "other", user="run", password=PASSWORD)
    try:
        with pytest.raises(IndexSetupError, match=r"403.*docs/how-to/opensearch\.md lists the privileges"):
            await set_up(one, dry_run=False, tell=lambda _: None)
    finally:
        await one.close()


def test_the_command_line_takes_the_password_from_a_file(server, tmp_path, capsys):
    (tmp_path / "password").write_text(PASSWORD + "\n")
    where = ("--opensearch-url", server.url, "--opensearch-ca", str(server.ca), "--opensearch-user", "setup")
    secret = ("--opensearch-password-file", str(tmp_path / "password"))
    assert main(["setup", *where, *secret, "--dry-run"]) == 0
    (tmp_path / "password").write_text("wrong")
    assert main(["setup", *where, *secret]) == 1
    shown = capsys.readouterr()
    assert shown.err.count("\n") == 1
    assert "401" in shown.err
    assert PASSWORD not in shown.out + shown.err


# AWS: what arrives is what was signed


@contextlib.asynccontextmanager
async def aws_domain(key, secret, service, region, token=None):
    """Signs each request anew from what arrived of it and refuses it with 403 if the signatures differ."""
    taken = []

    async def handle(request):
        body = await request.read()
        signed = request.headers["Authorization"]
        names = re.search(r"SignedHeaders=([^,]+)", signed)[1].split(";")
        again = AWSRequest(
            request.method, f"http://{request.host}{request.raw_path}", data=body,
            headers={name: request.headers[name] for name in names if name not in ("host", "x-amz-date")},
        )  # fmt: skip
        again.context["timestamp"] = request.headers["X-Amz-Date"]
        auth = SigV4Auth(Credentials(key, secret, token), service, region)
        canonical = auth.canonical_request(_with_date(again, request.headers["X-Amz-Date"]))
        signature = auth.signature(auth.string_to_sign(again, canonical), again)
        if not signed.endswith(f"Signature={signature}"):
            return web.json_response({"message": "The request signature we calculated does not match"}, status=403)
        taken.append((request.method, request.path))
        if request.path == "/_bulk":
            items = [{"create": {"status": 201}} for _ in range(body.count(b"\n") // 2)]
            return web.json_response({"errors": False, "items": items})
        if request.path == "/":
            return web.json_response({"version": {"distribution": "opensearch", "number": "2.19.0"}})
        if request.path.endswith("/_search"):
            return web.json_response({"hits": {"hits": []}})
        owner = {"_meta": {"owner": "cutwater", "digest": "another"}}
        if "/_index_template/" in request.path:
            return web.json_response({"index_templates": [{"index_template": owner}]})
        return web.json_response({}, status=404)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    async with applications.serve(app) as address:
        yield address, taken


def _with_date(request, date):
    request.headers["X-Amz-Date"] = date
    return request


@pytest.mark.parametrize(("service", "token"), [("es", None), ("es", "a token"), ("aoss", None)])
async def test_every_request_to_aws_is_signed_as_it_arrives(monkeypatch, service, token):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "geheim")
    if token:
        monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    async with aws_domain("AKIDEXAMPLE", "geheim", service, "eu-central-1", token) as (url, taken):
        one = OpenSearchIndex(url, "cutwater", FEATURES, auth=Auth(aws=service, region="eu-central-1"))
        async with opened(one):
            assert await one.write([entry(number, sensor="é ☃ %2F") for number in range(10)]) == []
            assert (await one.search(Filter(sensor="é ☃"), 10)).documents == []
    writes = {path for method, path in taken if method in ("POST", "PUT") and not path.endswith("/_search")}
    assert writes == {"/_bulk"}, "no id in a path, whose signature the client would spoil"
    assert (("GET", "/") in taken) == (service == "es"), "a serverless collection does not say what it is"


async def test_wrong_aws_credentials_are_one_line(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "geheim")
    async with aws_domain("AKIDEXAMPLE", "another", "es", "eu-central-1") as (url, _):
        one = OpenSearchIndex(url, "cutwater", FEATURES, auth=Auth(aws="es", region="eu-central-1"))
        with pytest.raises(IndexSetupError, match="403") as caught:
            async with opened(one):
                pass
    assert "geheim" not in str(caught.value)
    assert "\n" not in str(caught.value)


# Certificates: any TLS server will do


@contextlib.asynccontextmanager
async def speaks_tls(authority, name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.folder / f"{name}.pem", authority.folder / f"{name}-key.pem")
    listening = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=context)
    async with listening:
        yield f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    ("name", "trusted", "message"),
    [
        ("node", "other", r"TLS: .*certificate.*; set opensearch_ca to the file of the authority"),
        ("node", None, r"TLS: .*certificate.*; set opensearch_ca to the file of the authority"),
        ("expired", "own", r"TLS: certificate has expired; renew the server's certificate"),
    ],
)
async def test_a_certificate_that_is_not_good_is_one_line(tmp_path, name, trusted, message):
    folders = {each: tmp_path / each for each in ("own", "other")}
    for folder in folders.values():
        folder.mkdir()
    own = Authority(folders["own"])
    Authority(folders["other"], "another")
    own.issue("node")
    own.issue("expired", days=-1)
    ca = folders[trusted] / "ca.pem" if trusted else None
    async with speaks_tls(own, name) as url:
        one = OpenSearchIndex(url, "cutwater", FEATURES, auth=Auth(user="u", password=PASSWORD, ca=ca))
        with pytest.raises(IndexSetupError, match=message) as caught:
            async with opened(one):
                pass
    assert PASSWORD not in str(caught.value)
    assert "\n" not in str(caught.value)
