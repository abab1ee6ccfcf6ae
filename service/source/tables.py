"""The tables that events are enriched from: loaded, looked at again, and kept in every version that is needed.

Which version an event is enriched by must come out the same when its record is read again after a crash. So:

- A checkpoint names the version (``Enrichment.version``) that holds for the records behind it.
- A core begins with the version of its checkpoint, ``await tables.at(version)``; without one, with ``tables.current``,
  and commits a checkpoint that says so before it reads its first record.
- When ``tables.current`` differs from what a core has, its driver takes a checkpoint between two batches that names the
  new version, and gives it to the core once that checkpoint is committed; not before, or a crash in between would
  enrich the same records by another version. This waits for one commit, once a reload. After a restart it also waits
  until the shard's end was reached: the worker before may have delivered all up to there by the old version.
- Every version is stored durably before ``current`` shows it, beside the snapshots, where other workers find it, too.
  One that was replaced is kept for ``KEPT_DAYS``: a checkpoint names it until its shard's next batch, so only a crash
  that nobody mends for that long could miss it, which the log would say.

Guarantee: a table that cannot be read again, or of which nothing makes sense, changes nothing: the last one is used,
its age grows, ``errors`` says why.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol
from weakref import WeakValueDictionary

import orjson
from botocore.exceptions import ClientError

from detector import snapshot_format
from service import UserError
from service.aws import AWSStore
from service.metrics import Metrics
from service.pipeline.enrich import Enricher, Enrichment, TableError, digest, versions_of
from service.pipeline.enrich.reference import ReferenceTable
from service.pipeline.enrich.security_groups import InterfaceTable, described, dump, merged, parse
from service.settings.enrich import EC2, TableDefinition
from service.state.blobs import Blobs

log = logging.getLogger("cutwater.tables")
LARGEST = 1 << 30  # bytes of a table
KEPT_DAYS = 3  # after which a version that was replaced is removed
_PAGE = 1000  # network interfaces, the most that EC2 answers at once
_KIND, _NEWEST = "table", "newest"


class Origin(Protocol):
    """Where a table comes from."""

    async def open(self) -> None:
        """Connect."""
        ...

    async def read(self) -> bytes | None:
        """The table as it is now; None if it has not changed since the last time. Raises UserError."""
        ...

    async def close(self) -> None:
        """Let go."""
        ...


class FileOrigin:
    """A file; it has changed when its size, its time or the file itself has."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None

    async def open(self) -> None:
        """Nothing is needed."""

    async def read(self) -> bytes | None:
        """See ``Origin``."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> bytes | None:
        try:
            status = self._path.stat()
            seen = (status.st_size, status.st_mtime_ns, status.st_ino)
            if seen == self._seen:
                return None
            if status.st_size > LARGEST:
                raise UserError(f"{self._path}: has {status.st_size} bytes; at most {LARGEST} are read")
            content = self._path.read_bytes()
            after = self._path.stat()
        except OSError as error:
            raise UserError(f"{self._path}: {error.strerror}") from None
        if seen != (after.st_size, after.st_mtime_ns, after.st_ino):
            raise UserError(f"{self._path}: changed while it was read; write a new file and rename it")
        self._seen = seen
        return content

    async def close(self) -> None:
        """Nothing is held."""


class S3Origin(AWSStore):
    """An object; it has changed when its ETag has."""

    def __init__(self, url: str, region: str) -> None:
        remedies = {
            "AccessDenied": f"allow s3:GetObject on {url}",
            "403": f"allow s3:GetObject on {url}",
            "NoSuchBucket": "make the bucket, or name another one",
            "NoSuchKey": "put the object there, or name another one",
            "404": "put the object there, or name another one",
        }
        super().__init__("s3", region, url, remedies)
        bucket, _, key = url.removeprefix("s3://").partition("/")
        self._object = {"Bucket": bucket, "Key": key}
        self._seen = ""

    async def read(self) -> bytes | None:
        """See ``Origin``."""

        async def whole(**request: Any) -> dict[str, Any]:
            answer = await self._client.get_object(**request)
            if answer["ContentLength"] > LARGEST:
                raise UserError(f"{self._store}: has {answer['ContentLength']} bytes; at most {LARGEST} are read")
            async with answer["Body"] as body:
                return {"etag": answer["ETag"], "content": await body.read()}

        unchanged = {"IfNoneMatch": self._seen} if self._seen else {}
        try:
            answer = await self._call(whole, expected=("304", "NotModified"), **self._object, **unchanged)
        except ClientError:
            return None
        self._seen = answer["etag"]
        return bytes(answer["content"])


class EC2Origin(AWSStore):
    """The network interfaces of a region; those that are gone stay as they were for a day."""

    def __init__(self, region: str, now: Callable[[], float]) -> None:
        remedies = {
            "UnauthorizedOperation": "allow ec2:DescribeNetworkInterfaces",
            "AuthFailure": "check the AWS credentials",
        }
        super().__init__("ec2", region, "EC2's network interfaces", remedies)
        self._now = now
        self._known: bytes | None = None
        self._told = False

    def resume(self, content: bytes) -> None:
        """Go on from what an earlier process knew."""
        self._known = self._known or content

    async def read(self) -> bytes | None:
        """See ``Origin``."""
        found = []
        request: dict[str, Any] = {"MaxResults": _PAGE}
        while request:
            answer = await self._call(self._client.describe_network_interfaces, **request)
            found += [described(each) for each in answer.get("NetworkInterfaces", ())]
            token = answer.get("NextToken")
            request = {"MaxResults": _PAGE, "NextToken": token} if token else {}
        before = parse(self._known) if self._known else []
        table = InterfaceTable(merged(before, found, round(self._now() * 1000)))
        content = dump(table.interfaces)
        if content == self._known and self._told:
            return None
        self._known, self._told = content, True
        return content


class Tables:
    """All tables of a service; see the module for how they are used.

    Args:
        definitions: of the tables.
        blobs: where versions are kept; opened and closed by the caller.
        stream: whose tables they are.
        region: of S3 and EC2.
        metrics: where their age is shown.
        now: the time, in seconds since 1970.
    """

    def __init__(
        self,
        definitions: Sequence[TableDefinition],
        blobs: Blobs,
        stream: str,
        region: str,
        metrics: Metrics,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._definitions = definitions
        self._blobs = blobs
        self._place = f"{stream}/tables"
        self._metrics = metrics
        self._now = now
        self._origins: dict[str, Origin | None] = {each.name: _origin(each, region, now) for each in definitions}
        self._without = self._current = Enrichment()
        # Older versions live as long as some core uses them: in memory are as many as shards need, not as were made.
        self._made: WeakValueDictionary[str, Enrichment] = WeakValueDictionary({"": self._without})
        self._errors: dict[str, str] = {}
        self._checked: dict[str, float] = {}  # when each was last what its source had
        self._stack = contextlib.AsyncExitStack()
        self._folder = Path()

    @property
    def current(self) -> Enrichment:
        """The newest version of all tables."""
        return self._current

    @property
    def errors(self) -> Mapping[str, str]:
        """Why tables cannot be looked at anew, by their names."""
        return self._errors

    async def open(self) -> None:
        """Load all tables. Raises UserError for one that cannot be."""
        self._folder = Path(self._stack.enter_context(TemporaryDirectory(prefix="cutwater-tables-")))
        for each in self._definitions:
            origin = self._origins[each.name]
            if origin is None:
                continue
            await origin.open()
            self._stack.push_async_callback(origin.close)
            if isinstance(origin, EC2Origin) and (content := await self._newest(each.name)):
                origin.resume(content)
        enrichers: dict[str, Enricher] = {}
        for each in self._definitions:
            try:
                enrichers[each.name] = await self._load(each)
            except TableError as error:
                raise UserError(f"enrich.{each.name}: {each.url}: {error}") from None
            except UserError as error:
                raise UserError(f"enrich.{each.name}: {error}") from None
        self._show(Enrichment(enrichers))

    async def close(self) -> None:
        """Let go of the sources."""
        await self._stack.aclose()

    async def at(self, version: str) -> Enrichment:
        """All tables as a checkpoint names them.

        A table whose definition has changed since, or whose version is lost, is the current one; the log says so.
        """
        if (known := self._made.get(version)) is not None:
            return known
        kept = versions_of(version)
        enrichers = dict(self._current.enrichers)
        for each in self._definitions:
            wanted = kept.get(each.name)
            if wanted is None or wanted == enrichers[each.name].version:
                continue
            content = await self._stored(each.name, wanted)
            if content is None:
                log.warning("table %s: version %s is not kept; the current one is used", each.name, wanted)
                continue
            old = await asyncio.to_thread(self._make, each, content)
            if old.version == wanted:
                enrichers[each.name] = old
            else:
                log.warning("table %s is defined otherwise than at the checkpoint; the current one is used", each.name)
        found = Enrichment(enrichers)
        self._made[found.version] = found
        return found

    async def refresh(self, name: str) -> bool:
        """Look at a table's source again; whether ``current`` has changed."""
        (definition,) = (each for each in self._definitions if each.name == name)
        origin = self._origins[name]
        if origin is None:
            return False
        try:
            content = await origin.read()
            made = None if content is None else await self._keep(definition, content)
        except (UserError, TableError) as error:
            if self._errors.get(name) != str(error):
                log.warning("table %s cannot be reloaded, its last version stays in use: %s", name, error)
            self._errors[name] = str(error)
            return False
        self._errors.pop(name, None)
        self._checked[name] = self._now()
        if made is None or made.version == self._current.enrichers[name].version:
            return False
        self._show(Enrichment(self._current.enrichers | {name: made}))
        log.info("table %s: version %s", name, made.version)
        return True

    async def watch(self, changed: Callable[[], Awaitable[None]] | None = None) -> None:
        """Look at each table's source every ``refresh`` seconds, until cancelled; call ``changed`` after a change."""

        async def one(definition: TableDefinition) -> None:
            while True:
                await asyncio.sleep(definition.refresh)
                if await self.refresh(definition.name) and changed:
                    await changed()

        async with asyncio.TaskGroup() as group:
            for each in self._definitions:
                if self._origins[each.name] is not None:
                    group.create_task(one(each))

    async def _load(self, definition: TableDefinition) -> Enricher:
        origin = self._origins[definition.name]
        content = b"" if origin is None else await origin.read()
        assert content is not None  # it is the first time
        made = await self._keep(definition, content)
        self._checked[definition.name] = self._now()
        if origin is not None:
            age = self._metrics.table_age.labels(definition.name)
            age.set_function(lambda: self._now() - self._checked[definition.name])
        return made

    async def _keep(self, definition: TableDefinition, content: bytes) -> Enricher:
        """A table made of its content, which is stored before. Raises TableError."""
        made = await asyncio.to_thread(self._make, definition, content)
        data = await asyncio.to_thread(snapshot_format.encode, _KIND, {"name": definition.name}, content)
        await self._blobs.put(f"{self._place}/{definition.name}/{made.version}", data)
        await self._note_newest(definition.name, made.version)
        if isinstance(made, ReferenceTable):
            self._metrics.table_refused_rows.labels(definition.name).set(made.refused)
            for problem in made.problems:
                log.warning("table %s: %s", definition.name, problem)
            if made.repeated:
                log.warning("table %s: %d rows repeat a key; the last one counts", definition.name, made.repeated)
        return made

    async def _note_newest(self, name: str, version: str) -> None:
        """Say which version is the newest, and remove those that were replaced long ago."""
        place = f"{self._place}/{name}"
        known = await self._known(name)
        now = self._now()
        replaced = {each: time for each, time in known["replaced"].items() if each != version}
        if known["version"] not in ("", version):
            replaced[known["version"]] = now
        old = [each for each, time in replaced.items() if now - time > KEPT_DAYS * 86_400]
        kept = {each: time for each, time in replaced.items() if each not in old}
        if version != known["version"] or kept != known["replaced"]:
            await self._blobs.put(f"{place}/{_NEWEST}", orjson.dumps({"version": version, "replaced": kept}))
        await self._blobs.delete([f"{place}/{each}" for each in old])

    async def _known(self, name: str) -> dict[str, Any]:
        data = await self._blobs.get(f"{self._place}/{name}/{_NEWEST}")
        try:
            found = orjson.loads(data or b"{}")
            return {"version": str(found.get("version", "")), "replaced": dict(found.get("replaced", {}))}
        except (orjson.JSONDecodeError, AttributeError, TypeError, ValueError):
            return {"version": "", "replaced": {}}

    async def _newest(self, name: str) -> bytes | None:
        """What an earlier process, or another worker, has last known."""
        return await self._stored(name, (await self._known(name))["version"])

    async def _stored(self, name: str, version: str) -> bytes | None:
        data = await self._blobs.get(f"{self._place}/{name}/{version}") if version else None
        try:
            return None if data is None else snapshot_format.decode(data, "a table").body
        except ValueError as error:
            log.warning("table %s: what is kept of version %s is damaged: %s", name, version, error)
            return None

    def _make(self, definition: TableDefinition, content: bytes) -> Enricher:
        if definition.kind == "reference":
            assert definition.reference is not None
            return ReferenceTable(definition.reference, content)
        if definition.kind == "security-groups":
            return InterfaceTable(parse(content))
        return self._places(definition, content)

    def _places(self, definition: TableDefinition, content: bytes) -> Enricher:
        import maxminddb  # only where places are wanted

        from service.pipeline.enrich.geo import Places

        if not content:
            return Places(definition.fields)
        name = digest(content)
        path = self._folder / f"{name}.mmdb"  # the fast reader takes files only
        path.write_bytes(content)
        try:
            database = maxminddb.open_database(path)
        except (maxminddb.InvalidDatabaseError, ValueError) as error:
            raise TableError(f"no database in MaxMind's format: {error}") from None
        return Places(definition.fields, database, name)

    def _show(self, enrichment: Enrichment) -> None:
        self._current = enrichment
        self._made[enrichment.version] = enrichment


def _origin(definition: TableDefinition, region: str, now: Callable[[], float]) -> Origin | None:
    if not definition.url:
        return None
    if definition.url == EC2:
        return EC2Origin(region, now)
    if definition.url.startswith("s3://"):
        return S3Origin(definition.url, region)
    return FileOrigin(Path(definition.url))
