"""OpenSearch with its security plugin: TLS by an authority of the test's own, users with the roles of deploy/."""

from __future__ import annotations

import base64
import datetime
import functools
import ipaddress
import shutil
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.servers import opensearch

SPEC = replace(
    opensearch.OPENSEARCH_2,
    name="opensearch-2.19.4-security",
    plugins=(*opensearch.OPENSEARCH_2.plugins, "org.opensearch.security.OpenSearchSecurityPlugin"),
    archives=("org.opensearch.plugin:opensearch-security:2.19.4.0",),
)
ROLES = Path(__file__).parents[2] / "deploy" / "opensearch-roles.yml"
PASSWORD = "geheim-7!x"  # of all users
# bcrypt, as the plugin's own tool makes it
HASH = "$2y$08$3NK/F1vcPotQO6Pt8OeHg.Skljf/lqlecdnG3KhLmklVGYFaLndpK"
USERS = {
    "admin": ["all_access"],
    "setup": ["cutwater_setup"],
    "run": ["cutwater_run"],
    "reader": ["cutwater_reader"],  # may look at what there is, but not write
}


@dataclass(frozen=True)
class Authority:
    """Certificates in a folder: ``ca.pem``, and what ``issue`` makes."""

    folder: Path
    name: str = "Cutwater tests"

    def __post_init__(self) -> None:
        key, subject = ec.generate_private_key(ec.SECP256R1()), _name(self.name)
        builder = _builder(subject, subject, key.public_key(), days=30)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        object.__setattr__(self, "_key", key)
        _write(self.folder / "ca.pem", builder.sign(key, hashes.SHA256()))

    def issue(self, name: str, days: int = 30, names: tuple[str, ...] = ()) -> None:
        """``NAME.pem`` and ``NAME-key.pem``, good for this machine, or for ``names`` instead.

        With negative days it ended so long ago.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(name), _name(self.name), key.public_key(), days)
        places: list[x509.GeneralName] = [x509.DNSName(each) for each in names]
        if not names:
            places = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(places), critical=False)
        _write(self.folder / f"{name}.pem", builder.sign(self._key, hashes.SHA256()))  # type: ignore[attr-defined]
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (self.folder / f"{name}-key.pem").write_bytes(key.private_bytes(*form))


class Secured(opensearch.Server):
    """A server that speaks TLS and asks who one is. It always runs from its jars."""

    def __init__(self) -> None:
        super().__init__(SPEC)
        config = self._runner.config
        self.authority = Authority(config)
        self.authority.issue("node")
        self.authority.issue("client")
        shutil.copytree(self._runner.defaults, config / "opensearch-security")
        own = config / "opensearch-security"
        users = {name: {"hash": HASH, "backend_roles": []} for name in USERS}
        mapping = {role: {"users": [name]} for name, roles in USERS.items() for role in roles}
        mapping["cutwater_run"]["users"].append("client")  # by its certificate
        reader = {
            "cluster_permissions": ["cluster:monitor/main", "indices:admin/index_template/get"],
            "index_permissions": [{"index_patterns": ["*"], "allowed_actions": ["read", "indices:admin/*/get"]}],
        }
        _yaml(own / "internal_users.yml", "internalusers", users)
        _yaml(own / "roles_mapping.yml", "rolesmapping", mapping)
        roles = ROLES.read_text() + "\ncutwater_reader: " + orjson.dumps(reader).decode() + "\n"
        (own / "roles.yml").write_text(roles)
        path = config / "opensearch-security" / "config.yml"
        path.write_text(_CONFIG)
        self.settings = {
            **{f"plugins.security.ssl.{layer}.pemcert_filepath": "node.pem" for layer in ("transport", "http")},
            **{f"plugins.security.ssl.{layer}.pemkey_filepath": "node-key.pem" for layer in ("transport", "http")},
            **{f"plugins.security.ssl.{layer}.pemtrustedcas_filepath": "ca.pem" for layer in ("transport", "http")},
            "plugins.security.ssl.http.enabled": "true",
            "plugins.security.ssl.http.clientauth_mode": "OPTIONAL",
            "plugins.security.ssl.transport.enforce_hostname_verification": "false",
            "plugins.security.allow_default_init_securityindex": "true",
            "plugins.security.authcz.admin_dn": "CN=nobody",
            "plugins.security.restapi.roles_enabled": "all_access",
        }

    def _make_runner(self, life: int | None) -> opensearch._Java:
        return opensearch._Java(self.spec, life)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def ca(self) -> Path:
        """The file that clients must trust."""
        return self.authority.folder / "ca.pem"

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """As the administrator."""
        data = None if body is None else orjson.dumps(body)
        word = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
        headers = {"Content-Type": "application/json", "Authorization": f"Basic {word}"}
        asked = urllib.request.Request(self.url + path, data=data, method=method, headers=headers)
        try:
            context = ssl.create_default_context(cafile=str(self.ca))
            with urllib.request.urlopen(asked, timeout=60, context=context) as answer:
                return orjson.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            text = error.read()
            return (orjson.loads(text) if text.startswith(b"{") else {}) | {"status": error.code}

    def count(self, index: str) -> int:
        """Documents in the index or pattern, after a refresh."""
        self.request("POST", f"/{index}/_refresh")
        return int(self.request("GET", f"/{index}/_count?ignore_unavailable=true").get("count", 0))


@functools.cache
def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: x509.Name, issuer: x509.Name, key: Any, days: int) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    end = now + datetime.timedelta(days=days)
    begin = min(now, end) - datetime.timedelta(days=1)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    return builder.serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(end)


def _write(path: Path, certificate: x509.Certificate) -> None:
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _yaml(path: Path, kind: str, content: dict[str, Any]) -> None:
    """JSON is YAML."""
    path.write_bytes(orjson.dumps({"_meta": {"type": kind, "config_version": 2}} | content))


_CONFIG = """
_meta: {type: config, config_version: 2}
config:
  dynamic:
    http: {anonymous_auth_enabled: false}
    authc:
      certificate:
        http_enabled: true
        transport_enabled: false
        order: 0
        http_authenticator: {type: clientcert, challenge: false, config: {username_attribute: cn}}
        authentication_backend: {type: noop}
      internal:
        http_enabled: true
        transport_enabled: true
        order: 1
        http_authenticator: {type: basic, challenge: true}
        authentication_backend: {type: internal}
"""
