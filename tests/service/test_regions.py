"""A region that does not exist ends a command at once; one that botocore does not know yet can be used."""

import socket

import pytest
from botocore.exceptions import EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st

from service.aws import AWSStore
from service.regions import RegionError, doubt, known


def unreachable(region, number=socket.EAI_NONAME, service="kinesis"):
    url = f"https://{service}.{region}.amazonaws.com/"
    return EndpointConnectionError(endpoint_url=url, error=socket.gaierror(number, "no such name"))


@pytest.mark.parametrize("region", ["us-east-1", "cn-north-1", "us-gov-west-1", "ap-southeast-7", "mx-central-1"])
def test_a_known_region_that_is_unreachable_is_waited_for(region):
    assert doubt(region, unreachable(region), answered=False) == f"; region is {region!r}"


@pytest.mark.parametrize(
    ("region", "alike"),
    [
        ("eu-nowhere-1", "eu-north-1"),
        ("us-east-11", "us-east-1"),
        ("eu-wset-1", "eu-west-1"),
        ("eu-central", "eu-central-1"),
        ("nowhere", "eu-west-1"),
    ],
)
def test_a_region_that_does_not_exist_is_refused_with_names_like_it(region, alike):
    with pytest.raises(RegionError) as refusal:
        doubt(region, unreachable(region), answered=False)
    assert str(refusal.value).startswith(f"region = {region!r}: kinesis.{region}.amazonaws.com does not exist; names")
    assert alike in str(refusal.value)
    assert refusal.value.exit_code == 2


def test_where_the_host_may_exist_the_doubt_is_said_and_nothing_ends():
    said = "; region is 'eu-nowhere-1', which is unknown to botocore; names like it: eu-north-1, eu-west-1, eu-south-1"
    assert doubt("eu-nowhere-1", unreachable("eu-nowhere-1", socket.EAI_AGAIN), answered=False) == said
    assert doubt("eu-nowhere-1", unreachable("eu-nowhere-1"), answered=True) == said


@pytest.mark.parametrize(
    "error", [OSError("reset"), TimeoutError(), EndpointConnectionError(endpoint_url="http://a.b/")]
)
def test_at_another_host_the_region_does_not_matter(error):
    assert doubt("eu-nowhere-1", error, answered=False) == ""


@given(st.from_regex(r"[a-z]{2}-[a-z]{3,9}-[0-9]", fullmatch=True))
def test_every_name_is_known_or_doubted(region):
    said = doubt(region, unreachable(region), answered=True)
    assert ("unknown" in said) == (region not in known())


async def test_stores_at_aws_refuse_it_too():
    async def call():
        raise unreachable("eu-nowhere-1", service="dynamodb")

    with pytest.raises(RegionError, match=r"dynamodb\.eu-nowhere-1\.amazonaws\.com does not exist"):
        await AWSStore("dynamodb", "eu-nowhere-1", "lease_table leases", {})._call(call)
