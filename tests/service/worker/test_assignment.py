"""Which leases a worker takes."""

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from service.state.leases import SHARD_END, Lease
from service.worker.assignment import Observations, choose


def shards(*owners) -> list[Lease]:
    return [Lease(f"shardId-{number:012d}", owner) for number, owner in enumerate(owners)]


def free(leases) -> set[str]:
    return {lease.shard for lease in leases if lease.owner is None}


def test_who_is_alone_takes_all():
    leases = shards(None, None, None)
    assert sorted(lease.shard for lease in choose(leases, free(leases), "me")) == [lease.shard for lease in leases]


def test_of_what_is_free_one_takes_a_fair_share():
    leases = shards("other", None, None, None)
    assert len(choose(leases, free(leases), "me")) == 2


def test_one_shard_at_a_time_is_taken_from_who_has_two_more():
    assert len(choose(shards("other", "other", "other", "other"), set(), "me")) == 1
    assert len(choose(shards("me", "other", "other", "other"), set(), "me")) == 1
    assert choose(shards("me", "other", "other"), set(), "me") == []


def test_a_child_waits_for_both_its_parents():
    left, right, child = shards(None, None, None)
    child = replace(child, parents=(left.shard, right.shard))
    ended = [replace(parent, checkpoint=SHARD_END) for parent in (left, right)]
    assert child not in choose([ended[0], right, child], free([left, right, child]), "me")
    assert choose([*ended, child], free([*ended, child]), "me") == [child]
    assert choose([child], {child.shard}, "me") == [child]  # parents that nobody knows any more are past


def test_a_finished_shard_is_not_taken():
    (lease,) = shards(None)
    assert choose([replace(lease, checkpoint=SHARD_END)], {lease.shard}, "me") == []


@given(st.lists(st.sampled_from([None, "a", "b", "c", "d"]), min_size=1, max_size=20))
def test_workers_come_to_equal_shares_and_then_leave_each_other_alone(owners):
    """Within a few rounds the most and the least loaded differ by one at most."""
    leases = shards(*owners)
    for _ in range(len(leases) + 1):
        for worker in "abcd":
            for lease in choose(leases, free(leases), worker):
                leases = [replace(one, owner=worker) if one.shard == lease.shard else one for one in leases]
    load = Counter(dict.fromkeys("abcd", 0))
    load.update(lease.owner for lease in leases)
    assert max(load.values()) - min(load.values()) <= 1
    assert all(choose(leases, free(leases), worker) == [] for worker in "abcd")


def test_a_lease_expires_when_its_counter_stands_still():
    observed = Observations(10)
    (lease,) = shards("other")
    assert observed.expired([lease], now=100) == set()
    assert observed.expired([lease], now=109.9) == set()
    lease = replace(lease, counter=1)
    assert observed.expired([lease], now=110.5) == set()
    assert observed.expired([lease], now=120.4) == set()
    assert observed.expired([lease], now=120.5) == {lease.shard}


def test_the_lease_of_a_dead_worker_or_of_nobody_needs_no_waiting():
    observed = Observations(10)
    dead, nobodys, living = shards("dead", None, "living")
    assert observed.expired([dead, nobodys, living], now=0, dead={"dead"}) == {dead.shard, nobodys.shard}
