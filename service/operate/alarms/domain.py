"""What AWS says of an OpenSearch Service domain, of either engine and by either API, and what to warn of."""

from __future__ import annotations

import functools
import math
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, NamedTuple

LEAST_FREE = 2048.0  # MB, where a node's storage is not known


class Storage(NamedTuple):
    """What data is kept on."""

    node: float | None  # MB, one data node's; None: not known
    nodes: int
    ebs: Mapping[str, Any] | None  # the EBS options if that is what it is
    instance: float | None = None  # GB, of an instance store

    def share(self, share: float, nodes: int = 1) -> float | None:
        """That much of ``nodes`` nodes in MB: whole ones of EBS volumes, which come in whole GB."""
        if self.node is None:
            return None
        free = self.node * share * nodes
        return float(math.floor(free + 1e-9)) if self.ebs else round(free, 6)


class Domain(NamedTuple):
    """A domain as it was described."""

    name: str
    engine: str  # OpenSearch | Elasticsearch
    version: str
    status: Mapping[str, Any]  # as AWS answered
    cluster: Mapping[str, Any]
    storage: Storage

    @property
    def masters(self) -> int:
        """Dedicated masters."""
        return int(self.cluster.get("DedicatedMasterCount") or 0) if self.cluster.get("DedicatedMasterEnabled") else 0

    @property
    def warm(self) -> int:
        """UltraWarm nodes."""
        return int(self.cluster.get("WarmCount") or 0) if self.cluster.get("WarmEnabled") else 0

    @property
    def warm_storage(self) -> float | None:
        """MB of one UltraWarm node."""
        size = _table()["warm"].get(_type(self.cluster.get("WarmType")))
        return size * 1024 if size else None

    @property
    def nodes(self) -> int:
        """All nodes, as the metric Nodes counts them."""
        others = sum(
            int(node.get("NodeConfig", {}).get("Count") or 0)
            for node in self.cluster.get("NodeOptions") or []
            if node.get("NodeConfig", {}).get("Enabled", True)
        )
        return self.storage.nodes + self.masters + self.warm + others

    @property
    def traits(self) -> frozenset[str]:
        """What rules ask for with ``when``."""
        found = {
            "masters": bool(self.cluster.get("DedicatedMasterEnabled")),
            "encrypted": bool((self.status.get("EncryptionAtRestOptions") or {}).get("Enabled")),
            "warm": bool(self.cluster.get("WarmEnabled")),
        }
        return frozenset(name for name, there in found.items() if there)

    def warnings(self) -> dict[str, str]:
        """What is not best practice, by a short name, in the order of telling."""
        vpc = self.status.get("VPCOptions") or {}
        zones = bool(self.cluster.get("ZoneAwarenessEnabled"))
        zone_count = int((self.cluster.get("ZoneAwarenessConfig") or {}).get("AvailabilityZoneCount") or 2)
        nodes = self.storage.nodes
        uneven = nodes % zone_count != 0 if zones else nodes % 2 == 1
        found = {
            "vpc": "" if vpc.get("VPCId") else "Not using VPC Endpoint",
            "encryption": "" if "encrypted" in self.traits else "Not using Encryption at Rest",
            "zones": "" if zones else "Does not have Zone Awareness enabled",
            "odd": _uneven(zone_count) if uneven else "",
            "masters": "" if "masters" in self.traits else "Does not have Dedicated Masters.",
            "even masters": (
                "Dedicated master count is even - risk of split brain.!!"
                if self.masters and self.masters % 2 == 0
                else ""
            ),
            "slow logs": "" if self.slow_logs() else "Neither index nor search slow logs are enabled.",
            "ebs": "" if self.storage.ebs else "EBS not in use. Using instance storage only.",
            "storage": (
                f"{self.cluster.get('InstanceType')} not EBS, and definition of its diskspace is not available."
                if self.storage.node is None
                else ""
            ),
        }
        return {name: text for name, text in found.items() if text}

    def slow_logs(self) -> list[str]:
        """Which slow logs are published."""
        logs = self.status.get("LogPublishingOptions") or {}
        names = {"INDEX_SLOW_LOGS": "Index", "SEARCH_SLOW_LOGS": "Search"}
        return [word for key, word in names.items() if (logs.get(key) or {}).get("Enabled")]


def _uneven(zones: int) -> str:
    if zones == 2:
        return "Instance count is ODD. Best practice is for an even number of data nodes and zone awareness."
    return f"Instance count is no multiple of its {zones} zones, so that they hold unequal shares."


def described(status: Mapping[str, Any]) -> Domain:
    """A domain from DescribeDomain or DescribeElasticsearchDomain. What is absent there counts as switched off."""
    cluster = status.get("ClusterConfig") or status.get("ElasticsearchClusterConfig") or {}
    engine, _, version = str(status.get("EngineVersion") or status.get("ElasticsearchVersion") or "").rpartition("_")
    if not engine:
        engine = "Elasticsearch"
    nodes = int(cluster.get("InstanceCount") or 1)
    ebs = status.get("EBSOptions") or {}
    if ebs.get("EBSEnabled"):
        size = ebs.get("VolumeSize")
        storage = Storage(float(size) * 1024 if size else None, nodes, ebs)
    else:
        instance = _table()["nodes"].get(_type(cluster.get("InstanceType")))
        storage = Storage(instance * 1024 if instance else None, nodes, None, instance)
    return Domain(str(status["DomainName"]), engine, version, status, cluster, storage)


def _type(name: Any) -> str:
    """An instance type without the end that says whose it is."""
    return str(name or "").removesuffix(".elasticsearch").removesuffix(".search")


@functools.cache
def _table() -> dict[str, dict[str, float]]:
    return tomllib.loads((files(__package__) / "storage.toml").read_text("utf-8"))
