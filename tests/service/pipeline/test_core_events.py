"""One shard's events in, documents of events, windows and scores out: the same bytes whatever happens in between."""

from collections import Counter
from dataclasses import asdict, dataclass

import numpy as np
import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.detector import Configuration
from detector.fleet import Fleet
from service.pipeline.core import Core, CoreConfiguration
from service.pipeline.decode.decoded import Refusal
from service.pipeline.enrich import Enrichment
from service.pipeline.event_stage import VALUE, EventConfiguration, enrichment_of
from service.pipeline.events import Event
from service.pipeline.records import ALL_HASH_KEYS, Position, Record
from service.settings.groups.events import WindowTable

MINUTE = 60_000
START = 1_700_000_040_000 // MINUTE * MINUTE
PROGRAMS = tuple(
    WindowTable(**table).program()
    for table in (
        {"name": "articles", "key": ["article"], "lateness": 30, "measures": {"n": "count", "mean": "mean ms"}},
        {"name": "all", "every": 30, "lateness": 30, "detect": []},
    )
)


@dataclass
class Decoded:
    events: list
    records: list
    ordinals: list
    refusals: list
    dropped: Counter
    taken: int
    size: int = 0


class Lines:
    """A decoder of the test's own: a JSON object a line; bounded, some records at a time."""

    def decode(self, records, *, bounded=False):
        records = records[: 1 + records[0].position.sequence % 5] if bounded else records
        found = Decoded([], [], [], [], Counter(), len(records))
        for number, record in enumerate(records):
            for ordinal, line in enumerate(record.data.split(b"\n")):
                if line == b"junk":
                    found.refusals.append(Refusal(number, ordinal, "not_json", "junk", line))
                elif line == b"control":
                    found.dropped["control"] += 1
                else:
                    fields = orjson.loads(line)
                    identity = fields.pop("id", "")
                    found.events.append(Event(fields.pop("time"), fields, "event", identity))
                    found.records.append(number)
                    found.ordinals.append(ordinal)
        return found


def make(hash_keys=ALL_HASH_KEYS, shard="shard"):
    configuration = CoreConfiguration(
        "stream", "rcf-1", (VALUE,), events=EventConfiguration("lines", Lines(), PROGRAMS)
    )  # fmt: skip
    return Core(configuration, shard, Fleet(Configuration(dimensions=1, trees=8, samples=16)), hash_keys)


def records(n=400, seed=3):
    """Clicks on three articles with a burst, late ones, junk, control messages, and several events in a record."""
    random, found = np.random.default_rng(seed), []
    for number in range(n):
        now = START + number * 15_000
        lines = [
            {"time": now - int(random.integers(0, 20_000)), "article": int(random.integers(3)), "ms": random.random()}
            for _ in range(int(random.integers(1, 4)) + (40 if 300 < number < 304 else 0))
        ]
        if number % 50 == 49:
            lines.append({"time": now - 10 * MINUTE, "article": 1})
        if number % 60 == 7:
            lines.append({"time": now, "article": None, "id": f"known {number // 120}"})
        data = b"\n".join(map(orjson.dumps, lines))
        data += b"\njunk" * (number % 70 == 3) + b"\ncontrol" * (number % 80 == 4)
        found.append(Record(Position(1000 + number), f"p{number % 4}", now + 500, data))
    return found


def written(outputs):
    """All that a shard's outputs would write."""
    documents = [(each.id, each.kind, each.time, each.document) for out in outputs for each in out.documents]
    letters = [asdict(each) | {"record": each.record.position} for out in outputs for each in out.dead_letters]
    return orjson.dumps([sorted(documents, key=lambda each: each[:3]), sorted(map(repr, letters))])


SHARD = records()
WHOLE = make().process(SHARD)
ALL = written([WHOLE])


def of_kind(output, kind):
    return [each.document for each in output.documents if each.kind == kind]


def test_the_shard_shows_what_there_is_to_show():
    letters = Counter(letter.code for letter in WHOLE.dead_letters)
    assert letters == {"late": 8, "not_json": 6}
    events, windows = of_kind(WHOLE, "event"), of_kind(WHOLE, "window")
    assert WHOLE.counts.events == len(events)
    assert WHOLE.counts.dropped == {"control": 5}
    assert WHOLE.counts.windows == len(windows)
    assert len({each["event.id"] for each in events}) == len(events) - 3, "events with one identity are one document"
    assert any(each["is_anomaly"] and each["sensor"].startswith("articles.n|") for each in of_kind(WHOLE, "score"))
    assert all(each["sensor"].startswith("articles.") for each in of_kind(WHOLE, "score"))


def test_sums_over_windows_are_the_numbers_of_events():
    late = sum(letter.code == "late" for letter in WHOLE.dead_letters)
    final = make()
    end = Record(Position(9000), "p", START + 10**8, orjson.dumps({"time": START + 10**8, "article": 9}))
    windows = of_kind(final.process([*SHARD, end]), "window")
    for program in PROGRAMS:
        counted = sum(each["window.events"] for each in windows if each["window.program"] == program.name)
        assert counted == WHOLE.counts.events - late
    for each in windows:
        if each["window.program"] == "articles" and each["measures.mean"] is not None:
            assert each["measures.mean"] == each["measures.mean_sum"] / each["measures.mean_count"]


def test_each_document_knows_its_record_and_has_an_id_of_its_own():
    for number, each in enumerate(WHOLE.documents):
        assert WHOLE.documents.source(number).position == each.position
    others = [each.id for each in WHOLE.documents if each.kind != "event"]
    assert len(set(others)) == len(others)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(1, len(SHARD)), st.booleans(), st.booleans()), max_size=12))
def test_the_output_is_the_same_bytes_whatever_the_batches_snapshots_and_restores(cuts):
    """A cut ends a batch; after it a snapshot may be taken, and a new core may go on from all snapshots so far."""
    core, models, outputs, start = make(), {}, [], 0
    for end, snapshot, restore in [*sorted(cuts), (len(SHARD), False, False)]:
        outputs.append(core.process(SHARD[start:end]))
        start = end
        if snapshot or restore:
            models |= core.snapshot()
        if restore:
            state, core = core.state(), make()
            core.restore(models, [state])
    assert written(outputs) == ALL


def test_a_bounded_batch_ends_behind_a_record_and_its_parts_are_the_same_bytes():
    core, outputs, rest = make(), [], SHARD
    while rest:
        outputs.append(core.process(rest, bounded=True))
        rest = rest[outputs[-1].taken :]
    assert written(outputs) == ALL
    assert sum(output.taken for output in outputs) == len(SHARD)
    assert len(outputs) > 50


def test_windows_that_are_dropped_by_a_change_are_told_in_a_dead_letter():
    before = make()
    before.process(SHARD[:100])
    changed = Core(
        CoreConfiguration("stream", "rcf-1", (VALUE,), events=EventConfiguration("lines", Lines(), PROGRAMS[:1])),
        "shard",
        Fleet(Configuration(dimensions=1, trees=8, samples=16)),
    )
    changed.restore({}, [before.state()])
    (letter,) = [each for each in changed.process(SHARD[100:102]).dead_letters if each.code == "windows_dropped"]
    assert "'all'" in letter.reason


class Stamp:
    """A table that says of each event which version it was."""

    mapping, aliases = {"stamp": "keyword"}, {}

    def __init__(self, version):
        self.version = version

    def enrich(self, fields, time):
        fields["stamp"] = self.version


def test_a_checkpoint_names_the_tables_that_enrich_what_comes_behind_it():
    core = make()
    core.use(Enrichment({"table": Stamp("1")}))
    first = of_kind(core.process(SHARD[:10]), "event")
    core.use(Enrichment({"table": Stamp("2")}))
    state, models = core.state(), core.snapshot()
    assert enrichment_of([state]) == "table@2"
    then = core.process(SHARD[10:20])
    assert {each["stamp"] for each in first} == {"1"}
    assert {each["stamp"] for each in of_kind(then, "event")} == {"2"}
    assert {each["enrichment.version"] for each in of_kind(then, "event")} == {"table@2"}
    again = make()
    again.use(Enrichment({"table": Stamp("2")}))
    again.restore(models, [state])
    assert written([again.process(SHARD[10:20])]) == written([then])
    assert enrichment_of([]) is None
