"""An AWS account of a test's own, at the moto server that all tests share."""

import asyncio
import os
import random
from contextlib import asynccontextmanager

import pytest

from service.cli import main
from service.operate.alarms.account import session_of
from tests.servers import aws

REGION = "us-east-1"


class Account:
    """The test's side of it: makes what the command finds."""

    def __init__(self, number, monkeypatch):
        self.number = number
        self._monkeypatch = monkeypatch

    def call(self, service, operation, region=REGION, **arguments):
        """One call, as boto3 would do it."""

        async def answered():
            async with session_of(None).create_client(service, region_name=region) as client:
                return await getattr(client, operation)(**arguments)

        return asyncio.run(answered())

    def elasticsearch(self, name, version="5.3", region=REGION, **options):
        """A domain of the old API; ``cluster`` is its ElasticsearchClusterConfig."""
        cluster = {"InstanceType": "m3.medium.elasticsearch", "InstanceCount": 1} | options.pop("cluster", {})
        self.call("es", "create_elasticsearch_domain", region, DomainName=name, ElasticsearchVersion=version,
                  ElasticsearchClusterConfig=cluster, **options)  # fmt: skip

    def opensearch(self, name, version="OpenSearch_2.13", region=REGION, size=100, **options):
        """A domain of the new API on gp3 volumes."""
        cluster = {"InstanceType": "r6g.large.search", "InstanceCount": 2} | options.pop("cluster", {})
        volumes = {"EBSEnabled": True, "VolumeType": "gp3", "VolumeSize": size}
        self.call("opensearch", "create_domain", region, DomainName=name, EngineVersion=version,
                  ClusterConfig=cluster, EBSOptions=volumes, **options)  # fmt: skip

    def alarm(self, domain, metric="CPUUtilization", name=None, region=REGION, **fields):
        """An alarm as the old script made them."""
        usual = {
            "AlarmName": name or f"Test-Elasticsearch-{domain}-{metric}-Alarm",
            "MetricName": metric, "Namespace": "AWS/ES", "Statistic": "Maximum", "Period": 60, "EvaluationPeriods": 5,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold", "Threshold": 1.0,
            "Dimensions": [{"Name": "DomainName", "Value": domain}, {"Name": "ClientId", "Value": self.number}],
        }  # fmt: skip
        self.call("cloudwatch", "put_metric_alarm", region, **usual | fields)

    def alarms(self, region=REGION):
        """All metric alarms, by name."""
        return {each["AlarmName"]: each for each in self.call("cloudwatch", "describe_alarms", region)["MetricAlarms"]}


@asynccontextmanager
async def _assumed(number):
    async with session_of(None).create_client("sts", region_name=REGION) as client:
        yield await client.assume_role(RoleArn=f"arn:aws:iam::{number}:role/test", RoleSessionName="test")


@pytest.fixture
def account(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith(("AWS_", "CUTWATER_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.moto())
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    number = f"{random.SystemRandom().randrange(10**11, 10**12)}"

    async def credentials():
        async with _assumed(number) as answer:
            return answer["Credentials"]

    found = asyncio.run(credentials())
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", found["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", found["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", found["SessionToken"])
    return Account(number, monkeypatch)


@pytest.fixture
def cutwater(capsys):
    """Runs ``cutwater alarms …``: its exit code and the lines of its output."""

    def run(*words):
        capsys.readouterr()
        code = main(["alarms", *words])
        return code, capsys.readouterr().out.splitlines()

    return run
