"""Calls to AWS that moto does not make like AWS: pages, refusals, recorded answers of many kinds."""

import pytest
from aiobotocore.stub import AioStubber

from service.operate.alarms.account import Account, AccountError
from service.operate.alarms.job import Scope, as_json, survey
from service.operate.alarms.rules import named

ARN = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:"


class Silence:
    def __init__(self, *_):
        pass

    def __enter__(self):
        return lambda number: None

    def __exit__(self, *_):
        pass


@pytest.fixture
async def account(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    async with Account("eu-west-1", account="123456789012") as account:
        yield account


@pytest.fixture
def stubs(account):
    made = {name: AioStubber(getattr(account, f"_{name}")) for name in ("opensearch", "es", "cloudwatch")}
    for stub in made.values():
        stub.activate()
    return made


def metric_alarm(name, **more):
    return {
        "AlarmName": name, "AlarmArn": ARN + name, "MetricName": "CPUUtilization", "Namespace": "AWS/ES",
        "Dimensions": [{"Name": "DomainName", "Value": "shop"}, {"Name": "ClientId", "Value": "123456789012"}],
        "Statistic": "Average", "Period": 60, "EvaluationPeriods": 5, "Threshold": 80.0,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold", "ActionsEnabled": True, "StateValue": "OK",
    } | more  # fmt: skip


async def test_alarms_are_read_page_by_page(account, stubs):
    pages = [[metric_alarm(f"{page}-{number}") for number in range(100)] for page in range(3)]
    for number, page in enumerate(pages):
        asked = {"AlarmTypes": ["MetricAlarm"], "MaxRecords": 100} | ({"NextToken": f"to-{number}"} if number else {})
        token = {"NextToken": f"to-{number + 1}"} if number < 2 else {}
        stubs["cloudwatch"].add_response(
            "describe_alarms", {"MetricAlarms": page, "CompositeAlarms": []} | token, asked
        )
    assert [alarm["AlarmName"] for alarm in await account.alarms()] == [
        alarm["AlarmName"] for page in pages for alarm in page
    ]
    stubs["cloudwatch"].assert_no_pending_responses()


async def test_answers_of_all_kinds_are_understood(account, stubs):
    """Composite alarms, alarms on expressions and percentiles, domains of which little is said, or nothing."""
    names = [{"DomainName": "bare"}, {"DomainName": "denied"}, {"DomainName": "old", "EngineType": "Elasticsearch"}]
    stubs["opensearch"].add_response("list_domain_names", {"DomainNames": names})
    stubs["es"].add_client_error("list_domain_names", "AccessDeniedException")
    bare = {"DomainId": "1/bare", "DomainName": "bare", "ARN": "arn:aws:es:eu-west-1:123456789012:domain/bare"}
    old = bare | {"DomainName": "old", "ElasticsearchClusterConfig": {"InstanceType": "m4.large.elasticsearch"}}
    stubs["opensearch"].add_response("describe_domain", {"DomainStatus": bare | {"ClusterConfig": {}}})
    stubs["opensearch"].add_client_error("describe_domain", "AccessDeniedException", "no es:DescribeDomain")
    stubs["es"].add_client_error("describe_elasticsearch_domain", "AccessDeniedException", "nor the old one")
    stubs["es"].add_response("describe_elasticsearch_domain", {"DomainStatus": old})
    account._room = __import__("asyncio").Semaphore(1)  # in order, as the answers are
    expression = metric_alarm("expression")
    for key in ("MetricName", "Namespace", "Dimensions", "Statistic", "Period"):
        del expression[key]
    expression["Metrics"] = [{"Id": "e1", "Expression": "m1/m2", "ReturnData": True}]
    percentile = metric_alarm("percentile", ExtendedStatistic="p99")
    del percentile["Statistic"]
    composite = {"AlarmName": "all", "AlarmArn": ARN + "all", "AlarmRule": 'ALARM("a")', "StateValue": "OK"}
    first = {"MetricAlarms": [], "CompositeAlarms": [composite], "NextToken": "more"}
    stubs["cloudwatch"].add_response("describe_alarms", first)
    stubs["cloudwatch"].add_response("describe_alarms", {"MetricAlarms": [expression, percentile]})
    scope = Scope(named("aws"), "Test", 2048.0, prefix="")
    found = await survey(account, scope, None, Silence)
    assert [domain.name for domain in found.domains] == ["bare", "old"]
    assert found.undescribed == {"denied": "AccessDeniedException: no es:DescribeDomain"}
    assert {finding.state for finding in found.findings} == {"missing"}
    assert not found.well
    assert as_json(found)["undescribed"][0]["domain"] == "denied"


async def test_without_any_list_of_domains_the_command_says_what_it_lacks(account, stubs):
    for name in ("opensearch", "es"):
        stubs[name].add_client_error("list_domain_names", "AccessDeniedException", "not allowed")
    with pytest.raises(AccountError, match="es:ListDomainNames in eu-west-1: AccessDeniedException: not allowed"):
        await account.domains()


async def test_more_than_a_hundred_alarms_are_deleted_in_turns(account, stubs):
    names = [f"a-{number}" for number in range(150)]
    stubs["cloudwatch"].add_response("delete_alarms", {}, {"AlarmNames": names[:100]})
    stubs["cloudwatch"].add_response("delete_alarms", {}, {"AlarmNames": names[100:]})
    await account.delete(names)
    stubs["cloudwatch"].assert_no_pending_responses()


async def test_an_alarm_that_was_deleted_meanwhile_is_not_ours(account, stubs):
    stubs["cloudwatch"].add_client_error("list_tags_for_resource", "ResourceNotFoundException")
    assert await account.ours([metric_alarm("gone")]) == frozenset()
