"""Real OpenSearch and Elasticsearch servers.

A server comes from the first of these that is there: a running one whose URL the environment names, Docker, or Java and
Maven (the server's own jars from Maven's repository, started by a few lines of Java). The jars are fetched once into
``$CUTWATER_TEST_CACHE``, by default ``~/.cache/cutwater-tests``.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson

from tests.servers import cache, sharing, unavailable

SOURCES = Path(__file__).parent / "java"
START_SECONDS = 120.0
HEAP = "512m"


@dataclass(frozen=True, slots=True)
class Spec:
    """A server to start.

    Attributes:
        variable: the environment's name for the URL of one that runs already.
        java: least major version of the JDK.
        main: class that starts it, in ``java/``.
        plugins: classes that the bare node needs to speak HTTP and to do what tests ask of it.
        artifacts: Maven coordinates, ``group:artifact[:version]``; by default the server's version.
        root: class that answers ``GET /`` where the jars have none; such a server takes its plugins as modules.
        options: further options of the Java machine.
        archives: Maven coordinates of plugins as they are distributed: their jars are added where none of that name is
            there, and their ``config`` folder lies in ``config`` beside ``lib``.
    """

    name: str
    version: str
    image: str
    variable: str
    java: int
    main: str
    plugins: tuple[str, ...]
    artifacts: tuple[str, ...]
    root: str = ""
    options: tuple[str, ...] = ()
    archives: tuple[str, ...] = ()

    @property
    def distribution(self) -> str:
        return self.name.partition("-")[0]


def _opensearch(version: str, variable: str, java: int, log4j: str, suffix: str) -> Spec:
    plugins = ("transport.Netty4", "painless.Painless", "index.mapper.MapperExtras", "index.reindex.Reindex")
    modules = ("transport-netty4-client", "lang-painless", "mapper-extras-client", "reindex-client")
    return Spec(
        name=f"opensearch-{version}",
        version=version,
        image=f"opensearchproject/opensearch:{version}",
        variable=variable,
        java=java,
        main="OpenSearchServer",
        plugins=tuple(f"org.opensearch.{plugin}{suffix}" for plugin in plugins),
        artifacts=(
            "org.opensearch:opensearch",
            *(f"org.opensearch.plugin:{module}" for module in modules),
            f"org.apache.logging.log4j:log4j-core:{log4j}",
        ),
    )


OPENSEARCH_3 = _opensearch("3.8.0", "CUTWATER_TEST_OPENSEARCH_3_URL", 21, "2.25.4", "ModulePlugin")
OPENSEARCH_2 = _opensearch("2.19.4", "CUTWATER_TEST_OPENSEARCH_2_URL", 17, "2.21.0", "Plugin")
ELASTICSEARCH_7 = Spec(
    name="elasticsearch-7.17.29",
    version="7.17.29",
    image="elasticsearch:7.17.29",
    variable="CUTWATER_TEST_ELASTICSEARCH_7_URL",
    java=17,
    main="Elasticsearch7Server",
    plugins=("org.elasticsearch.transport.Netty4Plugin", "org.elasticsearch.reindex.ReindexPlugin"),
    artifacts=(
        "org.elasticsearch:elasticsearch",
        "org.elasticsearch.plugin:transport-netty4-client",
        "org.elasticsearch.plugin:reindex-client",
        "org.apache.logging.log4j:log4j-core:2.17.1",
    ),
)


def _elasticsearch(version: str, java: int, root: str, *options: str) -> Spec:
    return Spec(
        name=f"elasticsearch-{version}",
        version=version,
        image=f"elasticsearch:{version}",
        variable=f"CUTWATER_TEST_ELASTICSEARCH_{version[0]}_URL",
        java=java,
        main="Elasticsearch8Server",
        plugins=(),
        artifacts=("org.elasticsearch:elasticsearch", "org.elasticsearch.plugin:transport-netty4"),
        root=root,
        options=options,
    )


ELASTICSEARCH_8 = _elasticsearch("8.19.21", 17, "RootPlugin8")
ELASTICSEARCH_9 = _elasticsearch("9.5.3", 21, "RootPlugin9", "--add-modules=jdk.incubator.vector")
SPECS = (OPENSEARCH_3, OPENSEARCH_2, ELASTICSEARCH_7, ELASTICSEARCH_8, ELASTICSEARCH_9)


class Server:
    """A server of the test's own: it can be killed, started again on the same port and data, and told settings.

    ``with Server(spec, {"http.max_content_length": "100kb"}) as server`` skips the test if none can be had.
    """

    def __init__(self, spec: Spec, settings: Mapping[str, str] | None = None, *, life: int | None = None) -> None:
        """``life``: see ``sharing``; such a server outlives the process that starts it."""
        self.spec = spec
        self.settings = dict(settings or {})
        self.port = 0
        self._runner: _Docker | _Java = self._make_runner(life)

    def _make_runner(self, life: int | None) -> _Docker | _Java:
        return _Docker(self.spec, life) if _docker_works() else _Java(self.spec, life)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, settings: Mapping[str, str] | None = None) -> None:
        """Start, with other settings if given, and wait until it answers."""
        if settings is not None:
            self.settings = dict(settings)
        try:
            self.port = self._runner.start(self.settings, self.port)
            self._await()
        except BaseException:
            self.close()
            raise

    def kill(self) -> None:
        """SIGKILL: no flush, no goodbye."""
        self._runner.kill()

    def restart(self) -> None:
        """Kill, then start on the same port and data."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """SIGSTOP: connections are accepted, nothing is answered."""
        self._runner.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._runner.signal(signal.SIGCONT)

    def close(self) -> None:
        """Kill and forget the data."""
        self._runner.close()

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """A request of the test's own, past the code under test: the decoded answer, also of an error."""
        return request(self.url, method, path, body)

    def count(self, index: str) -> int:
        """Documents in the index or pattern, after a refresh; 0 if there is none."""
        return count(self.url, index)

    def _await(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                health = self.request("GET", "/_cluster/health?wait_for_status=yellow&timeout=1s")
                if health.get("status") in ("green", "yellow"):
                    return
            if (reason := self._runner.failure()) is not None:
                raise RuntimeError(f"{self.spec.name} ended while starting:\n{reason}")
            time.sleep(0.05)
        raise TimeoutError(f"{self.spec.name} did not answer within {START_SECONDS:.0f} s\n{self._runner.log()}")


def request(url: str, method: str, path: str, body: Any = None) -> Any:
    """A plain HTTP request: the decoded answer, also of an error."""
    data = body if isinstance(body, bytes) or body is None else orjson.dumps(body)
    headers = {"Content-Type": "application/x-ndjson" if isinstance(body, bytes) else "application/json"}
    asked = urllib.request.Request(url + path, data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return orjson.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        return orjson.loads(error.read() or b"{}") | {"status": error.code}


def count(url: str, index: str) -> int:
    """Documents in the index or pattern, after a refresh; 0 if there is none."""
    request(url, "POST", f"/{index}/_refresh")
    return int(request(url, "GET", f"/{index}/_count?ignore_unavailable=true").get("count", 0))


class Running(Server):
    """A server that somebody else runs: it can be used, but not killed."""

    def __init__(self, spec: Spec, url: str) -> None:
        self.spec = spec
        self._url = url.rstrip("/")

    @property
    def url(self) -> str:
        return self._url

    def start(self, settings: Mapping[str, str] | None = None) -> None:
        """It runs."""

    def kill(self) -> None:
        unavailable(f"needs a server that it may kill; {self.spec.variable} names a running one")

    def pause(self) -> None:
        self.kill()

    def close(self) -> None:
        """It runs on."""


@functools.cache
def shared(spec: Spec) -> Server:
    """The one server of this kind that all tests share: they keep apart by index prefix and leave it running.

    Skips the test if none can be had.
    """
    if url := os.environ.get(spec.variable):
        return Running(spec, url)

    def start(life: int) -> str:
        server = Server(spec, life=life)
        server.start()
        return server.url

    return Running(spec, sharing.once(spec.name, start))


def unique_prefix() -> str:
    """An index prefix that no other test has."""
    return f"test-{uuid.uuid4().hex[:12]}"


class _Java:
    """The server's jars in a Java process that ends when its standard input does: ours to close, or the run's."""

    def __init__(self, spec: Spec, life: int | None = None) -> None:
        self._spec = spec
        self._life = life
        self._jdk = _jdk(spec.java)
        self._classes = _install(spec, self._jdk)
        self.defaults = self._classes / "config"
        folder = None if life is None else sharing.begin()
        self._home = Path(tempfile.mkdtemp(prefix=f"cutwater-{spec.name}-", dir=folder))
        if spec.root:
            (self._home / "modules").symlink_to(self._classes / "modules")
        self.config = self._home / "config"
        self.config.mkdir()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, settings: Mapping[str, str], port: int) -> int:
        port_file = self._home / "port"
        port_file.unlink(missing_ok=True)
        values = {
            "cluster.name": "cutwater-tests",
            "discovery.type": "single-node",
            "network.host": "127.0.0.1",
            "http.port": str(port),
            "transport.port": "0",
            "path.logs": str(self._home / "logs"),
            "cluster.routing.allocation.disk.threshold_enabled": "false",
            **settings,
        }
        with self._log_file("wb") as log:
            self._process = subprocess.Popen(
                [
                    str(self._jdk / "bin" / "java"),
                    *(f"-Xms{HEAP}", f"-Xmx{HEAP}", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"),
                    *(["--enable-native-access=ALL-UNNAMED"] if self._spec.java >= 21 else []),
                    *self._spec.options,
                    f"-Des.nativelibs.path={self._classes / 'native'}",
                    f"-Dlog4j2.configurationFile={SOURCES / 'log4j2.properties'}",
                    *("-cp", f"{self._classes / 'classes'}:{self._classes / 'lib'}/*", self._spec.main),
                    *(str(self._home), str(port_file), ",".join(self._spec.plugins) or "-"),
                    *(f"{name}={value}" for name, value in values.items()),
                ],
                stdin=subprocess.PIPE if self._life is None else self._life,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._home,
                start_new_session=True,  # a Ctrl-C at the tests is ours to handle
            )
        deadline = time.monotonic() + START_SECONDS
        while not port_file.exists():
            if (reason := self.failure()) is not None:
                raise RuntimeError(f"{self._spec.name} ended while starting:\n{reason}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._spec.name} did not start within {START_SECONDS:.0f} s\n{self.log()}")
            time.sleep(0.02)
        return int(port_file.read_text())

    def failure(self) -> str | None:
        ended = self._process is not None and self._process.poll() is not None
        return self.log() if ended else None

    def log(self) -> str:
        with self._log_file("rb") as log:
            return str(log.read().decode(errors="replace")[-4000:])

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process = None

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        if number == signal.SIGSTOP:
            os.waitpid(self._process.pid, os.WUNTRACED)  # until it has stopped

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self._home, ignore_errors=True)

    def _log_file(self, mode: str) -> IO[Any]:
        return (self._home / "output.log").open(mode)


class _Docker:
    """The vendor's image, with its data in a volume."""

    def __init__(self, spec: Spec, life: int | None = None) -> None:
        self._spec = spec
        self._name = f"cutwater-test-{uuid.uuid4().hex[:12]}"
        if life is None:
            atexit.register(self.close)  # a container does not end with us
        else:
            sharing.at_end("docker", "rm", "-f", self._name)
            sharing.at_end("docker", "volume", "rm", "-f", self._name)

    def start(self, settings: Mapping[str, str], port: int) -> int:
        port = port or _free_port()
        values = {
            "discovery.type": "single-node",
            "cluster.routing.allocation.disk.threshold_enabled": "false",
            **({"DISABLE_SECURITY_PLUGIN": "true"} if self._spec.distribution == "opensearch" else {}),
            **({"xpack.security.enabled": "false"} if self._spec.distribution == "elasticsearch" else {}),
            f"{'OPENSEARCH' if self._spec.distribution == 'opensearch' else 'ES'}_JAVA_OPTS": f"-Xms{HEAP} -Xmx{HEAP}",
            **settings,
        }
        options = [part for name, value in values.items() for part in ("-e", f"{name}={value}")]
        data = f"{self._name}:/usr/share/{self._spec.distribution}/data"
        publish = f"127.0.0.1:{port}:9200"
        _docker("run", "-d", "--rm", "--name", self._name, "-v", data, "-p", publish, *options, self._spec.image)
        return port

    def failure(self) -> str | None:
        return None if self._name in _docker("ps", "--format", "{{.Names}}") else "the container is gone"

    def log(self) -> str:
        return _docker("logs", "--tail", "40", self._name)

    def kill(self) -> None:
        _docker("kill", "-s", "KILL", self._name)
        while self._name in _docker("ps", "-a", "--format", "{{.Names}}"):
            time.sleep(0.1)

    def signal(self, number: int) -> None:
        _docker({signal.SIGSTOP: "pause", signal.SIGCONT: "unpause"}[signal.Signals(number)], self._name)

    def close(self) -> None:
        _docker("rm", "-f", self._name)
        _docker("volume", "rm", "-f", self._name)


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, timeout=600)
    return str(done.stdout)


@functools.cache
def _docker_works() -> bool:
    if not shutil.which("docker"):
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=60).returncode == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@functools.cache
def _jdk(least: int) -> Path:
    """The oldest JDK that will do: from JAVA_HOME, the PATH or /usr/lib/jvm."""
    homes = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    if javac := shutil.which("javac"):
        homes.append(Path(javac).resolve().parent.parent)
    homes += sorted(Path("/usr/lib/jvm").glob("*"))
    found = {home: _java_version(home) for home in homes if (home / "bin" / "javac").exists()}
    fit = [home for home, version in found.items() if version >= least]
    if not fit:
        unavailable(f"needs Docker, or a JDK {least} or newer (JAVA_HOME, PATH, /usr/lib/jvm)")
    return min(fit, key=found.__getitem__)


def _java_version(home: Path) -> int:
    done = subprocess.run([home / "bin" / "javac", "-version"], capture_output=True, text=True, check=False)
    version = re.search(r"javac (\d+)", done.stdout + done.stderr)
    return int(version.group(1)) if version else 0


def _install(spec: Spec, jdk: Path) -> Path:
    """The folder with the server's jars (``lib``) and the compiled starter (``classes``); made on first use."""
    sources = [SOURCES / f"{name}.java" for name in (spec.main, *(["RootHandler", spec.root] if spec.root else []))]
    recipe = [repr(spec).encode(), *(source.read_bytes() for source in sources)]
    digest = hashlib.sha256(b"".join(recipe)).hexdigest()[:12]
    folder = cache()
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{spec.name}-{digest}"
    with _locked(folder / f"{spec.name}.lock"):
        if not target.exists():
            draft = Path(tempfile.mkdtemp(dir=folder, prefix=f"{spec.name}-"))
            try:
                _fetch(spec, draft)
                for archive in (draft / "lib").glob("*.zip"):
                    _unpack(archive, draft)
                _run(jdk / "bin" / "javac", "-nowarn", "-cp", f"{draft / 'lib'}/*", "-d", draft / "classes", *sources)
                if spec.root:
                    _make_modules(spec, draft)
                draft.rename(target)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
    return target


def _make_modules(spec: Spec, folder: Path) -> None:
    """The layout that Elasticsearch 8 and 9 want: the network and ``GET /`` as modules with a description each."""
    network = folder / "modules" / "transport-netty4"
    network.mkdir(parents=True)
    for jar in [*(folder / "lib").glob("netty-*.jar"), *(folder / "lib").glob("transport-netty4-*.jar")]:
        jar.rename(network / jar.name)
    (plugin,) = network.glob("transport-netty4-*.jar")
    with zipfile.ZipFile(plugin) as content:
        for name in content.namelist():
            if name.startswith("META-INF/es-plugins/transport-netty4/") and not name.endswith("/"):
                text = content.read(name).decode()
                kept = [line for line in text.splitlines() if not line.startswith("modulename=")]
                (network / Path(name).name).write_text("\n".join(kept) + "\n")
    root = folder / "modules" / "root"
    root.mkdir()
    with zipfile.ZipFile(root / "root.jar", "w") as content:
        for name in ("RootHandler", spec.root):
            content.write(folder / "classes" / f"{name}.class", f"{name}.class")
            (folder / "classes" / f"{name}.class").unlink()
    description = {
        "name": "root",
        "description": "answers GET /",
        "version": spec.version,
        "elasticsearch.version": spec.version,
        "java.version": spec.java,
        "classname": spec.root,
    }
    lines = [f"{name}={value}\n" for name, value in description.items()]
    (root / "plugin-descriptor.properties").write_text("".join(lines))
    native = folder / "native"
    native.mkdir()
    for library in Path("/").glob("usr/lib*/**/libzstd.so.1"):
        (native / "libzstd.so").symlink_to(library)
        return


def _fetch(spec: Spec, folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        unavailable(f"{spec.name} needs Docker, or Java and Maven (mvn)")
    (folder / "pom.xml").write_text(_pom(spec))
    goal = ("dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder / 'lib'}")
    try:
        _run(maven, "-B", "-q", "-f", folder / "pom.xml", *goal)
    except RuntimeError as error:
        unavailable(f"{spec.name}: Maven cannot fetch its jars: {error}")


def _unpack(archive: Path, folder: Path) -> None:
    """Add a plugin's jars and configuration to a server's."""
    stem = re.compile(r"-\d[\w.]*(-\w+)?\.jar$")
    present = {stem.sub("", jar.name) for jar in (folder / "lib").glob("*.jar")}
    with zipfile.ZipFile(archive) as content:
        for name in content.namelist():
            if name.endswith(".jar") and stem.sub("", Path(name).name) not in present:
                (folder / "lib" / Path(name).name).write_bytes(content.read(name))
            elif name.startswith("config/") and not name.endswith("/"):
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content.read(name))
    archive.unlink()


def _pom(spec: Spec) -> str:
    dependencies = []
    alone = "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions>"
    for artifact in (*spec.artifacts, *spec.archives):
        group, name, *version = artifact.split(":")
        dependencies.append(
            f"<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId>"
            f"<version>{version[0] if version else spec.version}</version>"
            f"{'<type>zip</type>' + alone if artifact in spec.archives else ''}</dependency>"
        )
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>cutwater</groupId><artifactId>test-server</artifactId><version>1</version><packaging>pom</packaging>"
        f"<dependencies>{''.join(dependencies)}</dependencies></project>"
    )


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError((done.stdout + done.stderr).strip()[-2000:])


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
