"""What the setting ``enrich`` may say of tables, and how it is told what is wrong."""

import orjson
import pytest

from service.pipeline.enrich.reference import Column
from service.settings.enrich import TableDefinition, definitions_of

USERS = {
    "type": "reference",
    "url": "users.csv",
    "join": {"user_id": "user_id"},
    "columns": {"user_id": "integer", "gender": "text"},
}


def test_a_reference_table_is_read_by_its_columns_order(tmp_path):
    made = TableDefinition.of("users", USERS, tmp_path)
    assert made.url == str(tmp_path / "users.csv")
    assert made.reference.columns == (Column("user_id", 0, "integer"), Column("gender", 1, "text"))
    assert made.reference.fields == {"gender": "gender"}


def test_with_a_header_or_ndjson_columns_are_named(tmp_path):
    assert TableDefinition.of("users", USERS | {"header": True}).reference.columns[1] == Column("gender", "gender")
    ndjson = TableDefinition.of("users", USERS | {"url": "s3://bucket/users.ndjson"})
    assert (ndjson.url, ndjson.reference.format) == ("s3://bucket/users.ndjson", "ndjson")


def test_the_old_services_definition_is_taken(tmp_path):
    (tmp_path / "reference.json").write_bytes(
        orjson.dumps(
            {
                "TableName": "USERS",
                "S3ReferenceDataSource": {"BucketARN": "arn:aws:s3:::b", "FileKey": "users.csv"},
                "ReferenceSchema": {
                    "RecordFormat": {"RecordFormatType": "CSV"},
                    "RecordColumns": [
                        {"Name": "USER_ID", "Mapping": "0", "SqlType": "INTEGER"},
                        {"Name": "GENDER", "Mapping": "1", "SqlType": "VARCHAR(32)"},
                    ],
                },
            }
        )
    )
    table = {"type": "reference", "definition": "reference.json", "join": {"user_id": "USER_ID"}}
    made = TableDefinition.of("users", table, tmp_path)
    assert (made.url, made.reference.fields) == ("s3://b/users.csv", {"GENDER": "gender"})
    assert TableDefinition.of("users", table | {"url": "mine.csv"}, tmp_path).url == str(tmp_path / "mine.csv")


def test_groups_come_from_ec2_and_places_need_nothing():
    groups, places = definitions_of({"groups": {"type": "security-groups"}, "places": {"type": "geo"}})
    assert (groups.url, places.url, places.fields) == ("ec2", "", ("source.ip", "destination.ip"))


@pytest.mark.parametrize(
    ("name", "table", "words"),
    [
        ("a b", USERS, "name must be letters"),
        ("", USERS, "name must be letters"),
        ("t", {}, "type = None: must be reference, security-groups, geo"),
        ("t", USERS | {"column": {}}, "did you mean columns"),
        ("t", USERS | {"refresh": 0}, "1 to 86400 seconds"),
        ("t", USERS | {"refresh": "1"}, "1 to 86400 seconds"),
        ("t", USERS | {"url": "ftp://x"}, "must be a file, or s3://"),
        ("t", USERS | {"url": "s3://x"}, "bucket and a key"),
        ("t", {key: each for key, each in USERS.items() if key != "url"}, "url = None"),
        ("t", USERS | {"join": {}}, "join is missing"),
        ("t", USERS | {"join": {"user": "id"}}, "t: there is no column 'id'"),
        ("t", USERS | {"columns": {}}, "columns is missing"),
        ("t", USERS | {"columns": {"user_id": "int"}}, "must be text, integer"),
        ("t", USERS | {"columns": "user_id"}, "must be a table of texts"),
        ("t", USERS | {"format": "xml"}, "csv or ndjson"),
        ("t", USERS | {"header": 1}, "true or false"),
        ("t", USERS | {"delimiter": ";;"}, "one character"),
        ("t", {"type": "reference", "definition": "none.json", "join": {"a": "b"}}, "No such file"),
        ("t", {"type": "geo", "fields": []}, "list of fields"),
        ("t", {"type": "geo", "url": "x"}, "no such entry"),
    ],
)
def test_what_is_wrong_is_named(name, table, words):
    with pytest.raises(ValueError, match=words):
        TableDefinition.of(name, table)
