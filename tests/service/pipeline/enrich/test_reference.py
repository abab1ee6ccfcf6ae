"""Reference tables are LEFT JOINs: compared with a loop over all rows."""

import csv
import io

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.pipeline.enrich import TableError
from service.pipeline.enrich.reference import (
    Column,
    ReferenceDefinition,
    ReferenceTable,
    kinesis_analytics_reference,
)

USERS = (Column("user_id", 0, "integer"), Column("gender", 1), Column("segment_id", 2, "integer"))
BY_USER = ReferenceDefinition(USERS, {"user_id": "user_id"}, {"gender": "user.gender", "segment_id": "user.segment_id"})


def joined(table, **fields):
    table.enrich(fields, 0)
    return fields


def test_an_event_gets_the_typed_values_of_its_row():
    table = ReferenceTable(BY_USER, b"101,female,1\n102,male,2\n")
    assert joined(table, user_id=101) == {"user_id": 101, "user.gender": "female", "user.segment_id": 1}
    assert table.mapping == {"user.gender": "keyword", "user.segment_id": "long"}


@pytest.mark.parametrize("user", [999, None, "x", "", [101], {"id": 101}, True, 101.5, float("nan"), 10**30])
def test_an_event_without_a_row_stays_as_it_is(user):
    table = ReferenceTable(BY_USER, b"101,female,1\n1,male,1\n")
    assert list(joined(table, user_id=user)) == ["user_id"]
    assert joined(table, other=1) == {"other": 1}


@pytest.mark.parametrize("user", [101, "101", " 101", 101.0])
def test_a_key_is_compared_as_its_columns_type(user):
    assert joined(ReferenceTable(BY_USER, b"101,female,1"), user_id=user)["user.gender"] == "female"


def test_quotes_crlf_a_byte_order_mark_empty_lines_and_empty_values_are_read():
    table = ReferenceTable(BY_USER, b'\xef\xbb\xbf101,"fe""m,ale",1\r\n\r\n"102",,2\r\n')
    assert joined(table, user_id=101)["user.gender"] == 'fe"m,ale'
    assert joined(table, user_id=102) == {"user_id": 102, "user.segment_id": 2}
    assert (table.rows, table.refused) == (2, 0)


def test_a_row_that_cannot_be_read_is_told_of_and_the_others_are_used():
    table = ReferenceTable(BY_USER, b"101,female,one\n102,male\n,male,2\n104,male,4\n")
    assert (table.rows, table.refused) == (1, 3)
    assert table.problems == [
        "row 1: column segment_id: 'one' is no integer of 64 bits",
        "row 2: it has 2 columns, and column 3 is wanted",
        "row 3: a column of the join is empty, which equals nothing",
    ]


def test_of_a_user_who_is_there_twice_the_last_row_counts():
    table = ReferenceTable(BY_USER, b"101,female,1\n101,male,2\n")
    assert joined(table, user_id=101)["user.gender"] == "male"
    assert (table.rows, table.repeated) == (1, 1)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"a,b,c\n", "none of its 1 rows"), (b"\xff\xfe", "not UTF-8"), (b'"101,female,1', "none of its 1 rows")],
)
def test_a_file_of_which_nothing_can_be_read_is_no_table(content, words):
    with pytest.raises(TableError, match=words):
        ReferenceTable(BY_USER, content)


def test_an_empty_file_is_an_empty_table():
    assert ReferenceTable(BY_USER, b"").rows == 0


def test_columns_may_be_named_by_a_header():
    definition = ReferenceDefinition(
        (Column("plan", "Plan"), Column("id", "Id")), {"user": "id"}, {"plan": "plan"}, header=True, delimiter=";"
    )
    table = ReferenceTable(definition, b"Id;Name;Plan\n7;x;gold\n")
    assert joined(table, user="7")["plan"] == "gold"
    with pytest.raises(TableError, match="no column 'Plan'; it has Id, Name"):
        ReferenceTable(definition, b"Id;Name\n")


def test_ndjson_is_joined_on_several_fields():
    columns = (
        Column("a", "a", "integer"),
        Column("b", "b"),
        Column("rate", "rate", "double"),
        Column("on", "on", "boolean"),
    )
    definition = ReferenceDefinition(columns, {"x": "a", "y": "b"}, {"rate": "rate", "on": "on"}, "ndjson")
    table = ReferenceTable(
        definition, b'{"a":1,"b":"u","rate":2,"on":true}\n[]\n{"a":2,"b":"u","rate":"x"}\n{"a":2,"b":"v"}\n'
    )
    assert joined(table, x=1, y="u") == {"x": 1, "y": "u", "rate": 2.0, "on": True}
    assert joined(table, x=2, y="v") == {"x": 2, "y": "v"}
    assert table.problems == ["row 2: no JSON object", "row 3: column rate: 'x' is no finite number"]


def test_fields_of_the_event_are_never_overwritten():
    table = ReferenceTable(BY_USER, b"101,female,1\n")
    assert joined(table, user_id=101, **{"user.gender": "said"})["user.gender"] == "said"


def test_a_version_follows_content_and_definition():
    one = ReferenceTable(BY_USER, b"101,female,1\n").version
    assert one == ReferenceTable(BY_USER, b"101,female,1\n").version
    assert one != ReferenceTable(BY_USER, b"101,male,1\n").version
    other = ReferenceDefinition(USERS, {"user_id": "user_id"}, {"gender": "user.gender"})
    assert one != ReferenceTable(other, b"101,female,1\n").version


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"join": {"user": "id"}}, "no column 'id'; there are user_id, gender, segment_id"),
        ({"join": {}}, "join names no field"),
        ({"fields": {"sex": "x"}}, "no column 'sex'"),
        ({"delimiter": ""}, "must be one character"),
        ({"row_delimiter": ""}, "must not be empty"),
        ({"columns": (*USERS, *USERS)}, "twice"),
    ],
)
def test_a_definition_that_cannot_hold_is_refused(changes, words):
    with pytest.raises(TableError, match=words):
        ReferenceDefinition(**{"columns": USERS, "join": {"user_id": "user_id"}} | changes)


numbers = st.integers(-3, 3)
texts = st.sampled_from(["a", "b", 'q"', "c,d", ""])


@given(st.lists(st.tuples(numbers, texts, texts), max_size=12), numbers, texts)
def test_it_is_what_a_loop_over_all_rows_finds(rows, x, y):
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    columns = (Column("a", 0, "integer"), Column("b", 1), Column("c", 2))
    definition = ReferenceDefinition(columns, {"x": "a", "y": "b"}, {"c": "c"})
    matches = [c for a, b, c in rows if (a, b) == (x, y) and b]
    try:
        table = ReferenceTable(definition, out.getvalue().encode())
    except TableError:
        assert not matches
        return
    assert joined(table, x=x, y=y).get("c", "") == (matches[-1] if matches else "")


@given(
    st.dictionaries(
        st.sampled_from(["user_id", "user.gender", "z"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda each: st.lists(each, max_size=3)
        ),
    )
)
def test_no_event_raises_and_none_loses_a_field(fields):
    table = ReferenceTable(BY_USER, b"101,female,1\n0,male,2\n1,male,2\n")
    before = {name: repr(value) for name, value in fields.items()}
    table.enrich(fields, 0)
    assert {name: repr(fields[name]) for name in before} == before


# Kinesis Analytics

OLD = {
    "TableName": "USERS",
    "S3ReferenceDataSource": {
        "BucketARN": "arn:aws:s3:::reference",
        "FileKey": "users/all.csv",
        "ReferenceRoleARN": "arn:aws:iam::123456789012:role/reader",
    },
    "ReferenceSchema": {
        "RecordFormat": {
            "RecordFormatType": "CSV",
            "MappingParameters": {
                "CSVMappingParameters": {"RecordRowDelimiter": "\n", "RecordColumnDelimiter": ","}
            },
        },
        "RecordEncoding": "UTF-8",
        "RecordColumns": [
            {"Name": "USER_ID", "Mapping": "0", "SqlType": "INTEGER"},
            {"Name": "GENDER", "Mapping": "1", "SqlType": "VARCHAR(32)"},
            {"Name": "SEGMENT_ID", "Mapping": "2", "SqlType": "INTEGER"},
        ],
    },
}  # fmt: skip


@pytest.mark.parametrize("whole", [OLD, {"ApplicationName": "clicks", "ReferenceDataSource": OLD}])
def test_the_old_services_json_is_read(whole):
    found = kinesis_analytics_reference(orjson.dumps(whole))
    assert (found.name, found.url, found.format, found.delimiter) == (
        "USERS",
        "s3://reference/users/all.csv",
        "csv",
        ",",
    )
    assert found.columns == (Column("USER_ID", 0, "integer"), Column("GENDER", 1), Column("SEGMENT_ID", 2, "integer"))


def test_the_old_services_json_rows_are_read():
    schema = {
        "RecordFormat": {
            "RecordFormatType": "JSON",
            "MappingParameters": {"JSONMappingParameters": {"RecordRowPath": "$"}},
        },
        "RecordColumns": [{"Name": "USER_ID", "Mapping": "$.id", "SqlType": "BIGINT"}],
    }
    found = kinesis_analytics_reference(orjson.dumps(OLD | {"ReferenceSchema": schema}))
    assert (found.format, found.columns) == ("ndjson", (Column("USER_ID", "id", "integer"),))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "no JSON"),
        (b"[]", "no reference of Kinesis Analytics"),
        (orjson.dumps({k: v for k, v in OLD.items() if k != "ReferenceSchema"}), "'ReferenceSchema' is missing"),
        (orjson.dumps(OLD).replace(b"INTEGER", b"GEOMETRY"), "SqlType 'GEOMETRY' is not known"),
        (orjson.dumps(OLD).replace(b'"Mapping":"0"', b'"Mapping":"$.x"'), "no number of a CSV column"),
        (orjson.dumps(OLD).replace(b'"CSV"', b'"XML"'), "neither CSV nor JSON"),
    ],
)
def test_what_is_no_such_json_is_refused(content, words):
    with pytest.raises(TableError, match=words):
        kinesis_analytics_reference(content)
