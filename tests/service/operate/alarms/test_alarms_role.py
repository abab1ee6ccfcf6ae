"""The nightly task's role can do exactly what ``cutwater alarms`` calls."""

import pytest
from aiobotocore.client import AioBaseClient

from tests.deploy.templates import listed, resources

FREE = {"sts:GetCallerIdentity"}  # allowed to everybody


@pytest.fixture
def recorded(monkeypatch):
    """The permissions that calls need, as they are made."""
    found = set()
    call = AioBaseClient._make_api_call

    async def record(client, operation, arguments):
        service = client.meta.service_model.signing_name.replace("monitoring", "cloudwatch")
        found.add(f"{service}:{operation}")
        return await call(client, operation, arguments)

    monkeypatch.setattr(AioBaseClient, "_make_api_call", record)
    return found


@pytest.mark.parametrize("action", ["check", "apply"])
def test_the_role_allows_what_is_called_and_no_more(account, cutwater, recorded, action):
    account.opensearch("new")
    account.elasticsearch("old")
    account.alarm("old", "ClusterStatus.red", Threshold=7.0, name="Prod-Elasticsearch-old-ClusterStatus.red-Alarm")
    account.alarm("gone", name="Prod-Elasticsearch-gone-CPUUtilization-Alarm")
    recorded.clear()
    words = ("--rules", "aws", "--env", "Prod", *(("--adopt",) if action == "apply" else ()))
    cutwater(action, *words)
    role = resources("alarms", "AWS::IAM::Role")["TaskRole"]
    allowed = set()
    for statement in role["Policies"][0]["PolicyDocument"]["Statement"]:
        if "Fn::If" in statement:
            condition, statement, _ = statement["Fn::If"]
            if condition == "Applies" and action != "apply":
                continue
        allowed |= set(listed(statement["Action"]))
    assert recorded - FREE == allowed
