"""Several tables together, and the version that says what they were."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.pipeline.enrich import Enrichment, TableError, digest, versions_of
from service.pipeline.enrich.geo import Places
from service.pipeline.enrich.reference import Column, ReferenceDefinition, ReferenceTable


def by_country(content):
    columns = (Column("country", 0), Column("region", 1))
    definition = ReferenceDefinition(columns, {"source.geo.country_iso_code": "country"}, {"region": "sales.region"})
    return ReferenceTable(definition, content)


def test_later_tables_see_what_earlier_ones_added():
    enrichment = Enrichment({"places": Places(["source.ip"]), "sales": by_country(b"US,AMER\n")})
    fields = {"source.ip": "8.8.8.8"}
    enrichment.enrich(fields, 0)
    assert fields["sales.region"] == "AMER"
    assert fields["enrichment.version"] == enrichment.version
    assert set(fields) - {"source.ip"} <= set(enrichment.mapping)


def test_without_tables_nothing_is_added():
    enrichment, fields = Enrichment(), {}
    enrichment.enrich(fields, 0)
    assert (fields, enrichment.version, enrichment.mapping) == ({}, "", {})


def test_a_version_names_that_of_each_table():
    sales = by_country(b"US,AMER\n")
    enrichment = Enrichment({"places": Places(), "sales": sales})
    assert versions_of(enrichment.version) == {"places": Places().version, "sales": sales.version}
    assert versions_of("") == {}
    with pytest.raises(TableError):
        versions_of("users")


@given(st.lists(st.text(), max_size=3), st.lists(st.text(), max_size=3))
def test_digests_tell_apart_where_parts_end(one, two):
    assert (digest(*one) == digest(*two)) == (one == two)
