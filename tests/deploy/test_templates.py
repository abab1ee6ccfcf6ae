"""The templates are closed to the world, encrypt, say what they take, and fit each other and the code."""

import json
import re

import pytest

from service.cli import _parser
from tests.deploy.templates import DEPLOY, NAMES, listed, resources, statements, template

PROJECT = DEPLOY.parent
OWN = {"StringEquals": {"aws:PrincipalAccount": {"Ref": "AWS::AccountId"}}}
# Calls that AWS lets nobody limit to a resource
UNLIMITED = {
    *("es:ListDomainNames", "cloudwatch:DescribeAlarms", "ec2:DescribeNetworkInterfaces"),
    *("ec2:DescribeVpcs", "ec2:DescribeSubnets", "ec2:DescribeSecurityGroups", "ec2:DescribeDhcpOptions"),
}
SEED_EVENTS = [
    "RunInstances",
    "StopInstances",
    "StartInstances",
    "CreateFlowLogs",
    "CreateImage",
    "CreateNatGateway",
    "CreateVpc",
    "DeleteKeyPair",
    "DeleteNatGateway",
    "DeleteRoute",
    "DeleteRouteTable",
    "CreateSnapshot",
    "DeleteSnapshot",
    "DeleteVpc",
    "DeleteVpcEndpoints",
    "DeleteSecurityGroup",
    "ModifyVolume",
    "ModifyVpcEndpoint",
    "TerminateInstances",
]


def everything(found, key):
    """All values of a key, however deep."""
    if isinstance(found, dict):
        for name, value in found.items():
            if name == key:
                yield value
            yield from everything(value, key)
    elif isinstance(found, list):
        for each in found:
            yield from everything(each, key)


def test_there_are_the_templates_that_the_documentation_names():
    text = (PROJECT / "docs/how-to/aws.md").read_text()
    assert set(NAMES) == {"alarms", "ecs", "endpoints", "feeds", "flink", "opensearch"}
    assert all(f"deploy/{name}.yaml" in text for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_and_output_is_described(name):
    found = template(name)
    for key, each in found["Parameters"].items():
        assert each.get("Description"), key
        assert (
            "Default" in each
            or key in (DEPLOY / f"{name}.yaml").read_text().partition("Parameters:")[0]
            or not each.get("Default")
        )
    assert all(each["Value"] for each in found.get("Outputs", {}).values())


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_open_to_the_world(name):
    found = template(name)
    for key, group in resources(name, "AWS::EC2::SecurityGroup").items():
        for rule in group.get("SecurityGroupIngress", []):
            assert rule["IpProtocol"] == "tcp", key
            assert rule["FromPort"] == rule["ToPort"]
            sources = {"SourceSecurityGroupId", "CidrIp"} & set(rule)
            assert len(sources) == 1
            if "CidrIp" in rule:
                assert found["Parameters"][rule["CidrIp"]["Ref"]]["Default"].startswith("10.")
    assert not [each for each in everything(found, "CidrIp") if "/0" in str(each)]
    assert not list(everything(found, "CidrIpv6"))
    assert not resources(name, "AWS::EC2::SecurityGroupIngress")
    for statement in statements(found["Resources"]):
        assert statement["Effect"] == "Allow"
        for principal in [] if "Principal" not in statement else [statement["Principal"]]:
            assert principal != "*" or name == "endpoints"
            assert (
                "*" not in str(principal)
                or statement.get("Condition") == OWN
                or "starport" in str(statement["Resource"])
            )


@pytest.mark.parametrize("name", NAMES)
def test_roles_may_do_what_is_named_and_nothing_else(name):
    for key, role in resources(name, "AWS::IAM::Role").items():
        for statement in statements(role["AssumeRolePolicyDocument"]):
            assert statement["Condition"], f"{key} can be assumed for somebody else"
        assert role.get("Policies") or role.get("ManagedPolicyArns")
        for statement in statements(role.get("Policies", [])):
            actions = listed(statement["Action"])
            assert not [action for action in actions if "*" in action]
            if "*" in listed(statement["Resource"]):
                assert set(actions) <= UNLIMITED, key
            if "iam:PassRole" in actions:
                assert statement["Condition"] == {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}
        managed = json.dumps(role.get("ManagedPolicyArns", []))
        assert set(re.findall(r"policy/([\w/-]+)", managed)) <= {"service-role/AmazonECSTaskExecutionRolePolicy"}


@pytest.mark.parametrize("name", NAMES)
def test_logs_end_sometime_and_containers_have_no_rights_to_spare(name):
    for group in resources(name, "AWS::Logs::LogGroup").values():
        assert group["RetentionInDays"]
    for definition in resources(name, "AWS::ECS::TaskDefinition").values():
        for container in definition["ContainerDefinitions"]:
            assert container["ReadonlyRootFilesystem"] is True
            assert container["LinuxParameters"]["Capabilities"] == {"Drop": ["ALL"]}
            assert not container.get("Privileged")
            compiled = {mount["SourceVolume"]: mount["ContainerPath"] for mount in container["MountPoints"]}
            assert compiled["compiled"] == "/var/cache/numba"


def test_the_domain_takes_https_of_the_tasks_only_and_encrypts():
    (group,) = resources("opensearch", "AWS::EC2::SecurityGroup").values()
    (rule,) = group["SecurityGroupIngress"]
    assert (rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) == ("tcp", 443, 443)
    assert rule["SourceSecurityGroupId"] == {"Ref": "TaskSecurityGroupId"}
    assert [each["CidrIp"] for each in group["SecurityGroupEgress"]] == ["127.0.0.1/32"]
    (domain,) = resources("opensearch", "AWS::OpenSearchService::Domain").values()
    assert domain["VPCOptions"]["SecurityGroupIds"] == [{"Ref": "DomainSecurityGroup"}]
    assert domain["EncryptionAtRestOptions"]["Enabled"] is True
    assert domain["NodeToNodeEncryptionOptions"] == {"Enabled": True}
    assert domain["DomainEndpointOptions"]["EnforceHTTPS"] is True
    assert domain["DomainEndpointOptions"]["TLSSecurityPolicy"] == "Policy-Min-TLS-1-2-PFS-2023-10"
    assert {key for key, log in domain["LogPublishingOptions"].items() if log["Enabled"]} == {
        "SEARCH_SLOW_LOGS", "INDEX_SLOW_LOGS", "ES_APPLICATION_LOGS",
    }  # fmt: skip
    task, _ = domain["AccessPolicies"]["Statement"]
    assert task["Principal"] == {"AWS": {"Ref": "TaskRoleArn"}}
    ecs = [each for each in statements(template("ecs")["Resources"]["TaskRole"]) if each.get("Sid") == "WriteAnomalies"]
    assert task["Action"] == ecs[0]["Action"]


@pytest.mark.parametrize(("given", "zones"), [("A", 1), ("AB", 2), ("ABC", 3)])
def test_the_domain_is_in_as_many_zones_as_it_is_given_subnets(given, zones):
    (domain,) = resources("opensearch", "AWS::OpenSearchService::Domain").values()
    true = {"HasTwoZones": zones > 1, "HasThreeZones": zones > 2}

    def resolved(value):
        """What CloudFormation makes of it."""
        if isinstance(value, dict) and "Fn::If" in value:
            condition, yes, no = value["Fn::If"]
            return resolved(yes if true.get(condition, False) else no)
        if value == {"Ref": "AWS::NoValue"}:
            return None
        if isinstance(value, list):
            return [each for each in map(resolved, value) if each is not None]
        return value

    assert resolved(domain["VPCOptions"]["SubnetIds"]) == [{"Ref": f"Subnet{letter}"} for letter in given]
    assert resolved(domain["ClusterConfig"]["ZoneAwarenessEnabled"]) is (zones > 1)
    awareness = resolved(domain["ClusterConfig"]["ZoneAwarenessConfig"])
    assert awareness == ({"AvailabilityZoneCount": zones} if zones > 1 else None)


def test_there_is_an_endpoint_for_every_service_that_a_task_calls():
    called = {"logs", "ecr", "sts"}  # starting a task, its log, its credentials
    for name in ("ecs", "alarms"):
        for role in resources(name, "AWS::IAM::Role").values():
            for statement in statements(role.get("Policies", [])):
                called |= {action.partition(":")[0] for action in listed(statement["Action"])}
    inside = {"aoss", "kms", "iam", "ecs"}  # within the VPC by itself, or called by AWS for the task
    endpoints = resources("endpoints", "AWS::EC2::VPCEndpoint")
    there = {each["ServiceName"]["Fn::Sub"].rpartition("}.")[2] for each in endpoints.values()}
    names = {"kinesis": "kinesis-streams", "cloudwatch": "monitoring", "ecr": "ecr.api"}
    assert {names.get(service, service) for service in called - inside} <= there
    for endpoint in endpoints.values():
        if endpoint["VpcEndpointType"] == "Interface":
            assert endpoint["PrivateDnsEnabled"] is True
            assert endpoint["SecurityGroupIds"] == [{"Ref": "EndpointSecurityGroup"}]


def matches(pattern, event) -> bool:
    """Whether an event fits EventBridge's pattern, as far as ours go."""
    if isinstance(pattern, dict):
        return all(key in event and matches(value, event[key]) for key, value in pattern.items())
    return event in pattern


def test_events_that_change_ec2_are_fed_and_others_not():
    rules = resources("feeds", "AWS::Events::Rule")
    pattern = rules["Ec2Calls"]["EventPattern"]

    def call(name, source="ec2"):
        detail = {"eventSource": f"{source}.amazonaws.com", "eventName": name}
        return {"source": f"aws.{source}", "detail-type": "AWS API Call via CloudTrail", "detail": detail}

    assert len(SEED_EVENTS) == 19
    assert all(
        matches(pattern, call(name)) for name in [*SEED_EVENTS, "AuthorizeSecurityGroupIngress", "RebootInstances"]
    )
    assert not matches(pattern, call("DescribeInstances"))
    assert not matches(pattern, call("RunInstances", "rds"))
    signing = {"source": "aws.signin", "detail-type": "AWS Console Sign In via CloudTrail", "detail": {}}
    assert matches(rules["SignIns"]["EventPattern"], signing)
    assert not matches(pattern, signing)


def test_the_streams_are_encrypted_and_outlive_the_stack():
    stream = template("feeds")["Resources"]["DataStream"]
    assert stream["Properties"]["StreamEncryption"]["EncryptionType"] == "KMS"
    assert stream["DeletionPolicy"] == template("opensearch")["Resources"]["Domain"]["DeletionPolicy"] == "Retain"


@pytest.mark.parametrize("action", template("alarms")["Parameters"]["Action"]["AllowedValues"])
def test_the_nightly_task_runs_a_command_that_there_is(action):
    parameters = template("alarms")["Parameters"]
    values = {name: each.get("Default", "") for name, each in parameters.items()} | {"Action": action}
    (container,) = resources("alarms", "AWS::ECS::TaskDefinition")["TaskDefinition"]["ContainerDefinitions"]
    words = [values.get(word["Ref"], "eu-west-1") if isinstance(word, dict) else word for word in container["Command"]]
    options = _parser(words).parse(words)
    assert (options.action, options.rules, options.env, options.prefix) == (action, "aws", "Prod", "")


def test_who_is_told_hears_of_every_code_but_0():
    (rule,) = resources("alarms", "AWS::Events::Rule").values()
    assert rule["EventPattern"]["detail"]["containers"]["exitCode"] == [{"anything-but": [0]}]
