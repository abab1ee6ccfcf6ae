"""Where addresses are: the country from an embedded register, more from the user's own database.

The register is that of the five regional Internet registries: the country that an address is registered in. City,
region and place come only from a database in MaxMind's format. What neither knows is absent: no place is made up.
Addresses that are nowhere on the Internet are named by what they are for, such as private or loopback.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, Protocol, TypeGuard

from service.pipeline.enrich import Fields, digest
from service.pipeline.events import FieldType

CACHED = 65_536  # addresses remembered, before all are forgotten
DEFAULT_FIELDS = ("source.ip", "destination.ip")
_PLACE: dict[str, FieldType] = {
    "country_iso_code": "keyword",
    "country_name": "keyword",
    "region_iso_code": "keyword",
    "region_name": "keyword",
    "city_name": "keyword",
    "location": "geo_point",
    "name": "keyword",
}
_OLD_NAMES = {
    "source-country-code": "country_iso_code",
    "source-country-name": "country_name",
    "source-region-code": "region_iso_code",
    "source-region-name": "region_name",
    "source-city": "city_name",
    "source-location": "location",
}
# The first that holds an address names it.
_RANGES = [
    (ipaddress.ip_network(network), name)
    for network, name in (
        ("0.0.0.0/32", "unspecified"),
        ("::/128", "unspecified"),
        ("255.255.255.255/32", "broadcast"),
        ("10.0.0.0/8", "private"),
        ("172.16.0.0/12", "private"),
        ("192.168.0.0/16", "private"),
        ("fc00::/7", "unique local"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
        ("::1/128", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("fe80::/10", "link-local"),
        ("192.0.2.0/24", "documentation"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("2001:db8::/32", "documentation"),
        ("3fff::/20", "documentation"),
        ("198.18.0.0/15", "benchmarking"),
        ("2001:2::/48", "benchmarking"),
        ("224.0.0.0/4", "multicast"),
        ("ff00::/8", "multicast"),
        ("0.0.0.0/8", "reserved"),
        ("240.0.0.0/4", "reserved"),
    )
]
_BY_VERSION = {  # as numbers, which compare faster
    number: [
        (int(each.network_address), int(each.broadcast_address), name)
        for each, name in _RANGES
        if each.version == number
    ]
    for number in (4, 6)
}


class Database(Protocol):
    """A database in MaxMind's format, as maxminddb opens it."""

    def get(self, address: str, /) -> Any:
        """What it has of an address, or None. Raises ValueError for what is none, or is of a family it has not."""
        ...


class Places:
    """Places of addresses; see ``Enricher``.

    Args:
        fields: of events that hold addresses: ``source.ip`` is described by ``source.geo.*``.
        database: of cities, if there is one.
        content: its digest, by which versions differ.
    """

    def __init__(
        self, fields: Sequence[str] = DEFAULT_FIELDS, database: Database | None = None, content: str = ""
    ) -> None:
        import iptocc  # only where places are wanted

        self._country = iptocc.country_code
        self.version = digest(version("iptocc"), content, *fields)
        prefixes = _prefixes(fields)
        self.mapping, self.aliases = mapping_of(fields), aliases_of(fields)
        self._prefixes = tuple(prefixes.items())
        self._database = database
        self._cache: dict[str, tuple[tuple[str, Any], ...]] = {}

    def enrich(self, fields: Fields, time: int) -> None:
        """Add what is known of the places of the event's addresses."""
        for name, prefix in self._prefixes:
            address = fields.get(name)
            if type(address) is not str:
                continue
            found = self._cache.get(address)
            if found is None:
                if len(self._cache) >= CACHED:
                    self._cache.clear()
                found = self._cache[address] = tuple(self.place(address).items())
            for part, value in found:
                if prefix + part not in fields:
                    fields[prefix + part] = value.copy() if part == "location" else value

    def place(self, address: str) -> dict[str, Any]:
        """What is known of an address, by the parts of a place; nothing of what is no address."""
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return {}
        if isinstance(parsed, ipaddress.IPv6Address):
            parsed = parsed.ipv4_mapped or ipaddress.IPv6Address(int(parsed))  # without a zone
        number = int(parsed)
        for first, last, name in _BY_VERSION[parsed.version]:
            if first <= number <= last:
                return {"name": name}
        found = _from_database(self._database, str(parsed)) if self._database else {}
        if "country_iso_code" not in found and (country := self._country(str(parsed))):
            found = {"country_iso_code": country} | found
        return found


def _prefixes(fields: Sequence[str]) -> dict[str, str]:
    """What the places' fields of addresses begin with."""
    return {name: f"{name.rpartition('.')[0] or name}.geo." for name in fields}


def mapping_of(fields: Sequence[str]) -> dict[str, FieldType]:
    """Every field that ``Places`` of these fields may write."""
    return {prefix + part: kind for prefix in _prefixes(fields).values() for part, kind in _PLACE.items()}


def aliases_of(fields: Sequence[str]) -> dict[str, str]:
    """Older names of some of them."""
    known = mapping_of(fields)
    old = {alias: f"source.geo.{part}" for alias, part in _OLD_NAMES.items()}
    return {alias: field for alias, field in old.items() if field in known}


def _from_database(database: Database, address: str) -> dict[str, Any]:
    """The parts that a database has of an address, in the layouts of GeoLite2 and DB-IP."""
    try:
        entry = database.get(address)
    except ValueError:  # an IPv6 address, and a database of IPv4
        return {}
    if not isinstance(entry, Mapping):
        return {}
    country = _mapping(entry, "country") or _mapping(entry, "registered_country")
    regions = entry.get("subdivisions")
    region = regions[0] if isinstance(regions, list) and regions and isinstance(regions[0], Mapping) else {}
    code, within = country.get("iso_code"), region.get("iso_code")
    location = _mapping(entry, "location")
    latitude, longitude = location.get("latitude"), location.get("longitude")
    found: dict[str, Any] = {
        "country_iso_code": code if isinstance(code, str) and len(code) == 2 else None,
        "country_name": _english(country),
        "region_iso_code": f"{code}-{within}" if isinstance(code, str) and isinstance(within, str) else None,
        "region_name": _english(region),
        "city_name": _english(_mapping(entry, "city")),
    }
    if _is_number(latitude, 90) and _is_number(longitude, 180) and (latitude or longitude):
        found["location"] = {"lat": float(latitude), "lon": float(longitude)}
    return {part: value for part, value in found.items() if value}


def _mapping(entry: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = entry.get(name)
    return found if isinstance(found, Mapping) else {}


def _english(place: Mapping[str, Any]) -> str | None:
    name = _mapping(place, "names").get("en")
    return name if isinstance(name, str) else None


def _is_number(value: Any, most: float) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= most
