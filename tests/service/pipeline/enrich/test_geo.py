"""Places: what is known, and nothing that is not."""

import ipaddress

import maxminddb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from service.pipeline.enrich.geo import CACHED, Places

SEATTLE = {
    "country": {"iso_code": "US", "names": {"en": "United States", "de": "USA"}},
    "subdivisions": [{"iso_code": "WA", "names": {"en": "Washington"}}],
    "city": {"names": {"en": "Seattle"}},
    "location": {"latitude": 47.6, "longitude": -122.3},
}


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    path = tmp_path_factory.mktemp("geo") / "city.mmdb"
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="Test-City", float_type="f64")
    writer.insert_network(IPSet(["52.94.0.0/16"]), SEATTLE)
    writer.insert_network(
        IPSet(["8.8.8.0/24"]), {"country": {"iso_code": "None"}, "location": {"latitude": 0.0, "longitude": 0.0}}
    )
    writer.insert_network(
        IPSet(["1.0.0.0/24"]), {"subdivisions": [], "city": "x", "location": {"latitude": 900.0, "longitude": 1.0}}
    )
    writer.insert_network(IPSet(["10.0.0.0/8"]), SEATTLE)
    writer.insert_network(IPSet(["2600:1f18::/32"]), SEATTLE)
    writer.to_db_file(str(path))
    with maxminddb.open_database(path) as reader:
        yield reader


@pytest.mark.parametrize(
    ("address", "country"),
    [
        ("8.8.8.8", "US"),
        ("193.0.6.139", "NL"),
        ("133.11.0.1", "JP"),
        ("2001:4860:4860::8888", "US"),
        ("::ffff:8.8.8.8", "US"),
    ],
)
def test_the_country_needs_no_database(address, country):
    assert Places().place(address) == {"country_iso_code": country}


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("10.255.255.255", "private"),
        ("172.16.0.1", "private"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "carrier-grade NAT"),
        ("127.0.0.1", "loopback"),
        ("::1", "loopback"),
        ("169.254.169.254", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("fd00::1", "unique local"),
        ("224.0.0.251", "multicast"),
        ("ff02::1", "multicast"),
        ("203.0.113.9", "documentation"),
        ("2001:db8::1", "documentation"),
        ("255.255.255.255", "broadcast"),
        ("0.0.0.0", "unspecified"),
        ("::", "unspecified"),
        ("250.0.0.1", "reserved"),
        ("::ffff:10.0.0.1", "private"),
    ],
)
def test_addresses_that_are_nowhere_have_a_name_and_no_country(address, name, database):
    assert Places().place(address) == Places(database=database).place(address) == {"name": name}


def test_172_32_is_public():
    assert "name" not in Places().place("172.32.0.1")


def test_a_database_tells_more(database):
    whole = {
        "country_iso_code": "US",
        "country_name": "United States",
        "region_iso_code": "US-WA",
        "region_name": "Washington",
        "city_name": "Seattle",
        "location": {"lat": 47.6, "lon": -122.3},
    }
    places = Places(database=database)
    assert places.place("52.94.1.1") == places.place("2600:1f18::1") == whole


def test_what_a_database_does_not_know_is_absent(database):
    places = Places(database=database)
    assert places.place("8.8.8.8") == {"country_iso_code": "US"}  # neither a country "None" nor a place at 0, 0
    assert "location" not in places.place("1.0.0.1")
    assert places.place("193.0.6.139") == {"country_iso_code": "NL"}


@pytest.mark.parametrize("address", ["", "AWS Internal", "ec2.amazonaws.com", "1.2.3", "999.1.1.1", "-"])
def test_what_is_no_address_has_no_place(address):
    fields = {"source.ip": address}
    Places().enrich(fields, 0)
    assert fields == {"source.ip": address}


def test_both_ends_of_an_event_are_described():
    fields = {"source.ip": "8.8.8.8", "destination.ip": "10.0.0.1", "source.geo.country_iso_code": "said"}
    Places().enrich(fields, 0)
    assert fields["source.geo.country_iso_code"] == "said"
    assert fields["destination.geo.name"] == "private"


def test_documents_do_not_share_their_location(database):
    places = Places(database=database)
    one, two = {"source.ip": "52.94.1.1"}, {"source.ip": "52.94.1.1"}
    places.enrich(one, 0)
    places.enrich(two, 0)
    one["source.geo.location"]["lat"] = 0
    assert two["source.geo.location"]["lat"] == 47.6


def test_the_cache_is_bounded():
    places = Places(["source.ip"])
    for number in range(CACHED + 10):
        places.enrich({"source.ip": f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"}, 0)
    assert len(places._cache) <= CACHED


def test_a_version_follows_the_database_and_the_fields():
    assert len({Places().version, Places(["source.ip"]).version, Places(content="abc").version}) == 3
    assert Places().version == Places().version


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_private_addresses_have_no_country_and_the_cache_changes_nothing(address):
    places = Places()
    found = places.place(str(address))
    if address.is_private and address.is_link_local | address.is_loopback:
        assert "country_iso_code" not in found
        assert found["name"]
    for _ in range(2):
        fields = {"source.ip": str(address)}
        places.enrich(fields, 0)
        assert fields == {"source.ip": str(address)} | {f"source.geo.{part}": each for part, each in found.items()}


@given(st.sampled_from(["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"]), st.integers(0))
def test_ranges_hold_to_their_ends(network, number):
    network = ipaddress.ip_network(network)
    places = Places()
    assert "name" in places.place(str(network[number % network.num_addresses]))
    assert places.place(str(network[0] - 1)).get("name") != places.place(str(network[0])).get("name")
