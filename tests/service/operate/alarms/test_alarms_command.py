"""``cutwater alarms`` against AWS's APIs as moto has them."""

import json

import pytest

TOPIC = "arn:aws:sns:us-east-1:123456789012:on-call"
RULE = "=" * 103
OTHERS = ["ClusterStatus.yellow", "ClusterStatus.red", "CPUUtilization", "JVMMemoryPressure"]


def old_alarms(account, domain):
    """Those of the old script but ClusterIndexWritesBlocked, and one of 3000."""
    for metric in ("ClusterStatus.yellow", "ClusterStatus.red", "AutomatedSnapshotFailure"):
        account.alarm(domain, metric)
    account.alarm(domain, "CPUUtilization", Statistic="Average", Threshold=80.0)
    account.alarm(domain, "JVMMemoryPressure", Statistic="Average", Threshold=85.0)
    account.alarm(domain, "FreeStorageSpace", Statistic="Minimum", Threshold=3000.0,
                  ComparisonOperator="LessThanOrEqualToThreshold")  # fmt: skip


def test_check_says_what_the_old_script_said_line_for_line(account, cutwater):
    account.elasticsearch("iotfleet")
    old_alarms(account, "iotfleet")
    code, (first, *lines) = cutwater("check", "-e", "iotfleet", "-r", "us-east-1")
    assert code == 3
    assert first.startswith("Starting ... at 20")
    place = "for prefix iotfleet in region us-east-1 using IAM profile default"
    assert first.endswith(f", account {account.number} {place}")
    assert lines == [
        "List of Elasticsearch domains starting with given prefix (iotfleet): ['iotfleet']",
        RULE,
        "Starting checks for Elasticsearch domain iotfleet , version is 5.3",
        "iotfleet Automated snapshot hour (UTC): 0",
        "iotfleet Instance configuration: 1 instances; type:m3.medium.elasticsearch",
        "iotfleet Instance storage definition is: 4 GB; free storage calced to: 819.2 MB",
        "iotfleet Desired free storage set to (in MB): 819.2",
        "iotfleet WARNING: Not using VPC Endpoint",
        "iotfleet WARNING: Does not have Zone Awareness enabled",
        "iotfleet WARNING: Instance count is ODD."
        " Best practice is for an even number of data nodes and zone awareness.",
        "iotfleet WARNING: Does not have Dedicated Masters.",
        "iotfleet WARNING: Neither index nor search slow logs are enabled.",
        "iotfleet WARNING: EBS not in use. Using instance storage only.",
        "iotfleet Alarm ok; definition matches. Test-Elasticsearch-iotfleet-ClusterStatus.yellow-Alarm"
        " ClusterStatus.yellow",
        "iotfleet Alarm ok; definition matches. Test-Elasticsearch-iotfleet-ClusterStatus.red-Alarm ClusterStatus.red",
        "iotfleet Alarm ok; definition matches. Test-Elasticsearch-iotfleet-CPUUtilization-Alarm CPUUtilization",
        "iotfleet Alarm ok; definition matches. Test-Elasticsearch-iotfleet-JVMMemoryPressure-Alarm JVMMemoryPressure",
        "iotfleet WARNING: Missing alarm!!"
        " ('ClusterIndexWritesBlocked', 'Maximum', 60, 5, 'GreaterThanOrEqualToThreshold', 1.0)",
        "iotfleet Alarm ok; definition matches. Test-Elasticsearch-iotfleet-AutomatedSnapshotFailure-Alarm"
        " AutomatedSnapshotFailure",
        "iotfleet Alarm: Threshold does not match: Test-Elasticsearch-iotfleet-FreeStorageSpace-Alarm"
        " Should be:  819.2 ; is 3000.0",
        "Successfully finished processing!",
    ]


def test_apply_says_what_the_old_script_said_line_for_line(account, cutwater):
    volumes = {"EBSEnabled": True, "VolumeType": "gp2", "VolumeSize": 10}
    account.elasticsearch("ver", cluster={"InstanceType": "t2.small.elasticsearch"}, EBSOptions=volumes)
    code, (first, *lines) = cutwater("apply", "-r", "us-east-1", "-e", "Test", "-c", "ver", "-n", f"['{TOPIC}']")
    assert code == 0
    assert first.startswith("Starting ... at 20")
    made = [*OTHERS, "FreeStorageSpace", "ClusterIndexWritesBlocked", "AutomatedSnapshotFailure"]
    assert lines == [
        "EBS enabled: True type: gp2 size (GB): 10 No Iops 10240  total storage (MB)",
        "Desired free storage set to (in MB): 2048.0",
        *(f"Creating  Test-Elasticsearch-ver-{metric}-Alarm" for metric in made),
        "Successfully finished creating alarms!",
    ]
    alarms = account.alarms()
    assert list(alarms) == [f"Test-Elasticsearch-ver-{metric}-Alarm" for metric in made]
    for alarm in alarms.values():
        assert alarm["AlarmActions"] == alarm["OKActions"] == [TOPIC]
        assert alarm["Dimensions"] == [
            {"Name": "DomainName", "Value": "ver"}, {"Name": "ClientId", "Value": account.number},
        ]  # fmt: skip
        tags = account.call("cloudwatch", "list_tags_for_resource", ResourceARN=alarm["AlarmArn"])["Tags"]
        assert tags == [{"Key": "cutwater", "Value": "alarms"}]
    assert "delete old indices" in alarms["Test-Elasticsearch-ver-FreeStorageSpace-Alarm"]["AlarmDescription"]


def test_a_second_apply_has_nothing_to_do_and_another_volume_size_changes_one_alarm(account, cutwater):
    account.opensearch("shop", cluster={"InstanceCount": 6})
    words = ("--domain", "shop", "--notify", TOPIC)
    assert cutwater("plan", *words)[0] == 3
    assert not account.alarms()
    assert cutwater("apply", *words)[0] == 0
    assert account.alarms()["Test-Elasticsearch-shop-FreeStorageSpace-Alarm"]["Threshold"] == 20480.0
    code, lines = cutwater("plan", *words)
    assert (code, lines[1:]) == (0, ["Nothing to do."])
    assert cutwater("apply", *words)[1][-1] == "Nothing to do."
    assert cutwater("check", *words)[0] == 0
    bigger = {"EBSEnabled": True, "VolumeType": "gp3", "VolumeSize": 200}
    account.call("opensearch", "update_domain_config", DomainName="shop", EBSOptions=bigger)
    code, lines = cutwater("plan", *words)
    assert code == 3
    (line,) = lines[1:-1]
    assert line.startswith(
        "  update       Test-Elasticsearch-shop-FreeStorageSpace-Alarm: Threshold 20480.0 -> 40960.0"
    )
    assert cutwater("apply", *words)[0] == 0
    assert account.alarms()["Test-Elasticsearch-shop-FreeStorageSpace-Alarm"]["Threshold"] == 40960.0
    assert cutwater("plan", *words)[0] == 0


@pytest.mark.parametrize(("rules", "least"), [("classic", 20480), ("aws", 25600)])
def test_a_threshold_for_each_node_is_below_its_disk(account, cutwater, rules, least):
    account.opensearch("big", cluster={"InstanceCount": 6})
    assert cutwater("apply", "--domain", "big", "--rules", rules)[0] == 0
    free = [each for each in account.alarms().values() if each["MetricName"] == "FreeStorageSpace"]
    by_statistic = {each["Statistic"]: each["Threshold"] for each in free}
    assert by_statistic.pop("Minimum") == least < 100 * 1024
    assert by_statistic == ({"Sum": 6 * least} if rules == "aws" else {})


def test_what_somebody_else_made_stays_unless_it_is_to_be_adopted(account, cutwater):
    account.elasticsearch("iotfleet")
    old_alarms(account, "iotfleet")
    before = account.alarms()
    code, lines = cutwater("apply", "--domain", "iotfleet")
    assert code == 3  # one is still different
    assert [line for line in lines if "ing  " in line] == [
        "Leaving  Test-Elasticsearch-iotfleet-FreeStorageSpace-Alarm: not made by Cutwater (--adopt takes it over)",
        "Creating  Test-Elasticsearch-iotfleet-ClusterIndexWritesBlocked-Alarm",
    ]
    after = account.alarms()
    assert {name: after[name] for name in before} == before
    assert cutwater("apply", "--domain", "iotfleet", "--adopt")[0] == 0
    assert account.alarms()["Test-Elasticsearch-iotfleet-FreeStorageSpace-Alarm"]["Threshold"] == 819.2
    assert cutwater("plan", "--domain", "iotfleet")[0] == 0
    assert cutwater("remove", "all", "--domain", "iotfleet") == (0, [
        "  deleting     Test-Elasticsearch-iotfleet-FreeStorageSpace-Alarm",
        "  deleting     Test-Elasticsearch-iotfleet-ClusterIndexWritesBlocked-Alarm",
    ])  # fmt: skip
    assert set(account.alarms()) == set(before) - {"Test-Elasticsearch-iotfleet-FreeStorageSpace-Alarm"}


def test_masters_encryption_and_vpc_of_an_opensearch_domain(account, cutwater):
    account.opensearch(
        "search",
        cluster={"InstanceCount": 3, "DedicatedMasterEnabled": True, "DedicatedMasterType": "m6g.large.search",
                 "DedicatedMasterCount": 2, "ZoneAwarenessEnabled": True,
                 "ZoneAwarenessConfig": {"AvailabilityZoneCount": 3}},
        EncryptionAtRestOptions={"Enabled": True, "KmsKeyId": "key"},
        VPCOptions={"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]},
    )  # fmt: skip
    code, lines = cutwater("check", "--domain", "search", "--rules", "aws", "--json")
    (region,) = json.loads("\n".join(lines))["regions"]
    (domain,) = region["watched"]
    assert code == 3
    assert (domain["engine"], domain["version"], domain["nodes"]) == ("OpenSearch", "2.13", 5)
    metrics = {alarm["metric"]: alarm["threshold"] for alarm in domain["alarms"]}
    assert {"MasterReachableFromNode", "MasterCPUUtilization", "KMSKeyError", "KMSKeyInaccessible"} <= set(metrics)
    assert metrics["Nodes"] == 5
    assert not any(metric.startswith("Warm") for metric in metrics)
    assert "Dedicated master count is even - risk of split brain.!!" in domain["warnings"]
    assert not any("ODD" in warning for warning in domain["warnings"]), "three nodes in three zones are even"
    assert cutwater("apply", "--domain", "search", "--rules", "aws")[0] == 0
    alarms = account.alarms()
    assert alarms["Test-Elasticsearch-search-KMSKeyError-Alarm"]["TreatMissingData"] == "notBreaching"
    assert cutwater("plan", "--domain", "search", "--rules", "aws")[0] == 0
    assert "Starting checks for OpenSearch domain search , version is 2.13" in cutwater("check")[1]


def test_ladders_of_ones_own_rules_are_both_there(account, cutwater, tmp_path):
    rules = tmp_path / "ladder.toml"
    rules.write_text("\n".join(
        f'[[rules]]\nname = "FreeStorageSpace-{name}"\nmetric = "FreeStorageSpace"\nstatistic = "Minimum"\n'
        f'operator = "<="\nthreshold = {{share = {share}, of = "node storage"}}'
        for name, share in (("plan", 0.25), ("act", 0.2))
    ))  # fmt: skip
    account.opensearch("shop")
    words = ("--domain", "shop", "--rules", str(rules))
    for number, threshold in enumerate((20480.0, 25600.0)):  # made by hand, in the other order
        account.alarm("shop", "FreeStorageSpace", f"by-hand-{number}", Statistic="Minimum", Threshold=threshold,
                      ComparisonOperator="LessThanOrEqualToThreshold")  # fmt: skip
    assert cutwater("check", *words)[0] == 0
    account.call("cloudwatch", "delete_alarms", AlarmNames=["by-hand-0", "by-hand-1"])
    assert cutwater("apply", *words)[0] == 0
    assert sorted(each["Threshold"] for each in account.alarms().values()) == [20480.0, 25600.0]
    assert cutwater("check", *words)[0] == 0


def test_alarms_of_domains_that_are_no_more_are_found_and_only_ours_deleted(account, cutwater):
    account.opensearch("gone")
    account.opensearch("here")
    assert cutwater("apply")[0] == 0
    account.alarm("gone", name="Test-Elasticsearch-gone-Mine-Alarm")
    account.call("opensearch", "delete_domain", DomainName="gone")
    code, lines = cutwater("check")
    assert code == 0
    assert sum("the domain no longer exists" in line for line in lines) == 7
    code, lines = cutwater("remove", "orphans", "--dry-run")
    assert len(lines) == 8
    assert len(account.alarms()) == 15
    assert cutwater("remove", "orphans")[0] == 0
    left = account.alarms()
    assert len(left) == 8
    assert [name for name in left if "-gone-" in name] == ["Test-Elasticsearch-gone-Mine-Alarm"]


def test_surplus_is_what_no_rule_asks_for_any_more(account, cutwater):
    account.opensearch("shop")
    cutwater("apply", "--domain", "shop", "--rules", "aws")
    cutwater("apply", "--domain", "shop", "--rules", "aws", "--env", "Prod")
    code, lines = cutwater("remove", "surplus", "--domain", "shop")
    assert code == 0
    assert "  deleting     Test-Elasticsearch-shop-Nodes-Alarm" in lines
    assert not any("Prod" in line or "CPUUtilization" in line for line in lines)
    assert "Test-Elasticsearch-shop-Nodes-Alarm" not in account.alarms()


def test_a_domain_that_cannot_be_described_stops_nothing(account, cutwater):
    account.opensearch("shop")
    code, lines = cutwater("apply", "--domain", "shopp", "--domain", "shop")
    assert code == 3
    assert any(line.startswith("Error on getting domain stats from shopp: ResourceNotFound") for line in lines)
    assert any(line.endswith("did you mean shop?") for line in lines)
    assert len(account.alarms()) == 7


def test_cutwaters_own_alarms(account, cutwater):
    words = ("--stream", "RawStreamData")
    assert cutwater("check", *words)[0] == 3
    assert cutwater("apply", *words, "--env", "Prod")[0] == 0
    alarms = account.alarms()
    age = alarms["Prod-Cutwater-RawStreamData-IteratorAge-Alarm"]
    assert (age["Namespace"], age["MetricName"]) == ("AWS/Kinesis", "GetRecords.IteratorAgeMilliseconds")
    assert age["Dimensions"] == [{"Name": "StreamName", "Value": "RawStreamData"}]
    letters = alarms["Prod-Cutwater-RawStreamData-DeadLetters-Alarm"]
    assert (letters["Namespace"], letters["Statistic"]) == ("Cutwater", "Sum")
    assert "Prod-Cutwater-RawStreamData-CheckpointAge-Alarm" in alarms
    assert not any("MillisBehindLatest" in name for name in alarms)
    assert cutwater("plan", *words, "--env", "Prod")[0] == 0
    assert cutwater("check", *words)[0] == 0, "whatever they are called"
    _, lines = cutwater("plan", "--stream", "RawStreamData/dashboards")
    assert any("MillisBehindLatest" in line for line in lines)
    assert not any("IteratorAge" in line for line in lines)


def test_several_regions_each_with_its_topic(account, cutwater, capsys):
    account.opensearch("here")
    account.opensearch("there", region="eu-west-1")
    regions = ("-r", "us-east-1", "-r", "eu-west-1")
    other = TOPIC.replace("us-east-1", "eu-west-1")
    assert cutwater("apply", *regions, "-n", f"{TOPIC},{other}")[0] == 0
    assert {each["AlarmActions"][0] for each in account.alarms().values()} == {TOPIC}
    assert {each["AlarmActions"][0] for each in account.alarms("eu-west-1").values()} == {other}
    assert cutwater("check", *regions)[0] == 0
    assert cutwater("apply", "-r", "us-east-1", "-n", other)[0] == 2  # before anything is called
    assert cutwater("apply", *regions, "-n", TOPIC)[0] == 2


def test_actions_that_are_not_given_stay(account, cutwater):
    account.opensearch("shop")
    cutwater("apply", "--domain", "shop", "--notify", TOPIC)
    bigger = {"EBSEnabled": True, "VolumeType": "gp3", "VolumeSize": 200}
    account.call("opensearch", "update_domain_config", DomainName="shop", EBSOptions=bigger)
    assert cutwater("apply", "--domain", "shop")[0] == 0
    alarm = account.alarms()["Test-Elasticsearch-shop-FreeStorageSpace-Alarm"]
    assert (alarm["Threshold"], alarm["AlarmActions"], alarm["OKActions"]) == (40960.0, [TOPIC], [TOPIC])


def test_remove_all_must_say_of_what(account, cutwater, capsys):
    assert cutwater("remove", "all")[0] == 2
    assert cutwater("check", "--account", "12")[0] == 2
    assert cutwater("check", "--rules", "clasick")[0] == 2
