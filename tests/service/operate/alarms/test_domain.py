"""What AWS says of domains, in all its forms."""

import pytest

from service.operate.alarms import text
from service.operate.alarms.domain import described


def test_a_domain_of_which_next_to_nothing_is_said_is_described_all_the_same():
    domain = described({"DomainName": "bare", "ARN": "arn:aws:es:us-east-1:123456789012:domain/bare"})
    assert (domain.engine, domain.storage.node, domain.nodes, domain.traits) == ("Elasticsearch", None, 1, frozenset())
    assert "storage" in domain.warnings()
    assert list(text.domain_lines(domain, [], None))


@pytest.mark.parametrize(
    ("status", "engine", "version"),
    [
        ({"EngineVersion": "OpenSearch_2.13"}, "OpenSearch", "2.13"),
        ({"EngineVersion": "Elasticsearch_7.10"}, "Elasticsearch", "7.10"),
        ({"ElasticsearchVersion": "5.5"}, "Elasticsearch", "5.5"),
        ({"ElasticsearchVersion": "OpenSearch_1.0"}, "OpenSearch", "1.0"),
    ],
)
def test_engines(status, engine, version):
    domain = described({"DomainName": "d"} | status)
    assert (domain.engine, domain.version) == (engine, version)


@pytest.mark.parametrize(
    ("kind", "megabytes"),
    [
        ("r3.8xlarge.elasticsearch", 640 * 1024),  # 32 in the old table
        ("i3.large.search", 475 * 1024),
        ("r6gd.large.search", 118 * 1024),
        ("z9.huge.search", None),
    ],
)
def test_instance_storage(kind, megabytes):
    assert described({"DomainName": "d", "ClusterConfig": {"InstanceType": kind}}).storage.node == megabytes


@pytest.mark.parametrize(
    ("nodes", "zones", "warned"),
    [(3, 3, False), (4, 3, True), (2, 2, False), (3, 2, True), (1, None, True), (2, None, False)],
)
def test_an_odd_count_is_none_for_three_zones(nodes, zones, warned):
    awareness = {"ZoneAwarenessEnabled": True, "ZoneAwarenessConfig": {"AvailabilityZoneCount": zones}} if zones else {}
    domain = described({"DomainName": "d", "ClusterConfig": {"InstanceCount": nodes} | awareness})
    assert ("odd" in domain.warnings()) == warned
    assert ("zones" in domain.warnings()) == (zones is None)


def test_what_is_well_is_not_warned_of():
    domain = described({
        "DomainName": "d", "EngineVersion": "OpenSearch_2.13",
        "ClusterConfig": {"InstanceCount": 2, "ZoneAwarenessEnabled": True, "DedicatedMasterEnabled": True,
                          "DedicatedMasterCount": 3, "DedicatedMasterType": "m6g.large.search"},
        "EBSOptions": {"EBSEnabled": True, "VolumeType": "gp3", "VolumeSize": 10, "Iops": 3000},
        "VPCOptions": {"VPCId": "vpc-1", "AvailabilityZones": ["a"], "SubnetIds": ["s"], "SecurityGroupIds": ["g"]},
        "EncryptionAtRestOptions": {"Enabled": True, "KmsKeyId": "key"},
        "LogPublishingOptions": {"INDEX_SLOW_LOGS": {"Enabled": True}, "SEARCH_SLOW_LOGS": {"Enabled": False}},
    })  # fmt: skip
    assert domain.warnings() == {}
    lines = list(text.domain_lines(domain, [], None))
    assert "d 3 masters; type: m6g.large.search" in lines
    assert "d Index slow logs enabled: True" in lines
    assert "d EBS enabled: True type: gp3 size (GB): 10 3000 Iops 20480  total storage (MB)" in lines
    assert any(line.startswith("d VPC:  vpc-1 AZs: ['a']") for line in lines)
