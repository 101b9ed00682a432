"""The cache against a model: a server with versions and UIDs, whose events arrive late, twice and out of order."""

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from goldpool.kube.cache import TOMBSTONE_SECONDS, Cache, is_gone
from goldpool.kube.port import Change, Key, Obj, Resource

TOY = Resource("example.io", "v1", "Toy", "toys", namespaced=True)


def a_toy(
    name: str = "a",
    *,
    uid: str = "u1",
    version: int = 1,
    colour: str = "red",
    namespace: str = "ns",
    **metadata: Any,
) -> Obj:
    known = {"name": name, "namespace": namespace, "uid": uid, "resourceVersion": str(version)}
    return {"metadata": known | metadata, "spec": {"colour": colour}}


def a_cache(*, covers: bool = True) -> tuple[Cache, list[Change]]:
    cache, changes = Cache(), list[Change]()
    cache.add_listener(changes.append)
    cache.add_index(TOY, "colour", lambda obj: [obj["spec"]["colour"]])
    if covers:
        cache.add_scope(TOY, lambda _: True)
    return cache, changes


def test_versions_are_numbers_not_text() -> None:
    cache, _ = a_cache()
    cache.upsert(TOY, a_toy(version=9))
    assert cache.upsert(TOY, a_toy(version=10))


def test_an_older_version_is_no_news() -> None:
    cache, changes = a_cache()
    cache.upsert(TOY, a_toy(version=5))
    assert not cache.upsert(TOY, a_toy(version=4))
    assert not cache.upsert(TOY, a_toy(version=5))
    assert len(changes) == 1


def test_another_uid_is_a_deletion_and_an_addition() -> None:
    cache, changes = a_cache()
    old, new = a_toy(version=5), a_toy(uid="u2", version=6)
    cache.upsert(TOY, old)
    cache.upsert(TOY, new)
    assert [(change.old, change.new) for change in changes] == [(None, old), (old, None), (None, new)]


def test_the_deletion_of_a_predecessor_spares_its_successor() -> None:
    cache, _ = a_cache()
    cache.upsert(TOY, a_toy(uid="u2", version=6))
    assert not cache.remove(TOY, a_toy(uid="u1", version=5))
    assert cache.get(TOY, "a", "ns") is not None


def test_a_late_event_of_a_predecessor_is_ignored() -> None:
    cache, _ = a_cache()
    new = a_toy(uid="u2", version=6)
    cache.upsert(TOY, new)
    assert not cache.upsert(TOY, a_toy(uid="u1", version=5))
    assert cache.get(TOY, "a", "ns") is new


def test_what_was_seen_deleted_stays_deleted() -> None:
    cache, _ = a_cache()
    cache.upsert(TOY, a_toy(version=1))
    cache.remove(TOY, a_toy(version=3))
    cache.observe_write(TOY, a_toy(version=2))  # the answer of a write that came in before
    assert cache.get(TOY, "a", "ns") is None


def test_a_deletion_seen_before_the_answer_to_the_create() -> None:
    cache, _ = a_cache()
    cache.remove(TOY, a_toy(version=3))
    cache.observe_write(TOY, a_toy(version=2))
    assert cache.get(TOY, "a", "ns") is None


def test_tombstones_are_forgotten_in_time() -> None:
    now = [0.0]
    cache = Cache(clock=lambda: now[0])
    for number in range(1000):
        cache.remove(TOY, a_toy(uid=f"u{number}"))
    now[0] += TOMBSTONE_SECONDS + 1
    cache.remove(TOY, a_toy(uid="last"))
    assert len(cache._tombstones) == 1


def test_own_writes_are_kept_only_where_a_source_watches() -> None:
    cache, _ = a_cache(covers=False)
    cache.observe_write(TOY, a_toy())
    assert cache.list(TOY) == []
    cache.add_scope(TOY, lambda obj: obj["metadata"]["namespace"] == "ns")
    cache.observe_write(TOY, a_toy())
    cache.observe_write(TOY, a_toy("b", uid="u2", namespace="elsewhere"))
    assert [obj["metadata"]["name"] for obj in cache.list(TOY)] == ["a"]


def test_the_answer_to_the_last_finalizers_removal_is_a_deletion() -> None:
    cache, changes = a_cache()
    cache.upsert(TOY, a_toy(finalizers=["x"], deletionTimestamp="now"))
    cache.observe_write(TOY, a_toy(version=2, deletionTimestamp="now"))
    assert cache.list(TOY) == []
    assert changes[-1].new is None


def test_a_pod_in_its_grace_period_is_still_there() -> None:
    assert not is_gone(a_toy(deletionTimestamp="now", deletionGracePeriodSeconds=30))
    assert is_gone(a_toy(deletionTimestamp="now", deletionGracePeriodSeconds=0))


def test_a_list_drops_what_it_lacks_but_not_what_is_newer() -> None:
    cache, _ = a_cache()
    cache.upsert(TOY, a_toy("gone", uid="u1", version=3))
    cache.upsert(TOY, a_toy("kept", uid="u2", version=4))
    cache.upsert(TOY, a_toy("newer", uid="u3", version=8))
    cache.upsert(TOY, a_toy("elsewhere", uid="u4", version=2, namespace="other"))
    kept = Key("Toy", "ns", "kept")
    vanished = cache.remove_unlisted(TOY, [kept], 7, lambda obj: obj["metadata"]["namespace"] == "ns")
    assert [key.name for key in vanished] == ["gone"]
    assert {obj["metadata"]["name"] for obj in cache.list(TOY)} == {"kept", "newer", "elsewhere"}


def test_an_index_follows_its_objects() -> None:
    cache, _ = a_cache()
    cache.upsert(TOY, a_toy("a", uid="u1", colour="red"))
    cache.upsert(TOY, a_toy("b", uid="u2", colour="red"))
    cache.upsert(TOY, a_toy("a", uid="u1", version=2, colour="blue"))
    assert [obj["metadata"]["name"] for obj in cache.by_index(TOY, "colour", "red")] == ["b"]
    cache.add_index(TOY, "late", lambda obj: [obj["metadata"]["name"]])
    assert len(cache.by_index(TOY, "late", "a")) == 1


def everything(_: Obj) -> bool:
    return True


class LateEvents(RuleBasedStateMachine):
    """Objects are written and deleted on a server; the cache hears of it in any order, any number of times."""

    @initialize()
    def begin(self) -> None:
        self.version = 10
        self.live: dict[str, Obj] = {}
        self.history: list[tuple[str, Obj]] = []
        self.deleted: set[str] = set()
        self.told_deleted: set[str] = set()
        self.cache, self.changes = a_cache()

    @rule(name=st.sampled_from("abc"), colour=st.sampled_from(["red", "blue"]))
    def write(self, name: str, colour: str) -> None:
        self.version += 1
        uid = self.live[name]["metadata"]["uid"] if name in self.live else f"{name}{self.version}"
        self.live[name] = a_toy(name, uid=uid, version=self.version, colour=colour)
        self.history.append(("upsert", self.live[name]))

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.live)))
        self.version += 1
        obj = self.live.pop(name)
        self.deleted.add(obj["metadata"]["uid"])
        last = obj | {"metadata": obj["metadata"] | {"resourceVersion": str(self.version)}}
        self.history.append(("delete", last))

    @precondition(lambda self: self.history)
    @rule(data=st.data())
    def hear(self, data: st.DataObject) -> None:
        self.tell(data.draw(st.sampled_from(self.history)))

    def tell(self, event: tuple[str, Obj]) -> None:
        kind, obj = event
        if kind == "upsert":
            self.cache.upsert(TOY, obj)
        else:
            self.cache.remove(TOY, obj)
            self.told_deleted.add(obj["metadata"]["uid"])

    @rule()
    def relist(self) -> None:
        for obj in self.live.values():
            self.cache.upsert(TOY, obj, listed=True)
        keys = [Key("Toy", "ns", name) for name in self.live]
        self.cache.remove_unlisted(TOY, keys, self.version, everything)
        assert {obj["metadata"]["name"]: obj for obj in self.cache.list(TOY)} == self.live
        self.told_deleted |= self.deleted

    @rule(seed=st.integers(0, 1000))
    def hear_everything(self, seed: int) -> None:
        events = [*self.history]
        random.Random(seed).shuffle(events)
        for event in events:
            self.tell(event)
        assert {obj["metadata"]["name"]: obj for obj in self.cache.list(TOY)} == self.live

    @invariant()
    def nothing_told_deleted_is_there(self) -> None:
        assert not {obj["metadata"]["uid"] for obj in self.cache.list(TOY)} & self.told_deleted

    @invariant()
    def changes_replay_to_the_cache(self) -> None:
        replay: dict[Key, Obj] = {}
        for change in self.changes:
            assert replay.get(change.key) is change.old
            if change.new is None:
                del replay[change.key]
            else:
                old = change.old
                assert old is None or int(old["metadata"]["resourceVersion"]) < int(
                    change.new["metadata"]["resourceVersion"]
                )
                assert old is None or old["metadata"]["uid"] == change.new["metadata"]["uid"]
                replay[change.key] = change.new
        assert replay == {Key("Toy", "ns", obj["metadata"]["name"]): obj for obj in self.cache.list(TOY)}

    @invariant()
    def indices_and_namespaces_agree(self) -> None:
        known = {id(obj) for obj in self.cache.list(TOY)}
        assert {id(obj) for obj in self.cache.list(TOY, "ns")} == known
        by_colour = [obj for colour in ("red", "blue") for obj in self.cache.by_index(TOY, "colour", colour)]
        assert {id(obj) for obj in by_colour} == known
        assert all(obj["spec"]["colour"] == "red" for obj in self.cache.by_index(TOY, "colour", "red"))


LateEvents.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestLateEvents = LateEvents.TestCase


@given(versions=st.permutations(range(1, 8)))
def test_any_order_ends_at_the_newest(versions: list[int]) -> None:
    cache, changes = a_cache()
    for version in versions:
        cache.upsert(TOY, a_toy(version=version))
    kept = cache.get(TOY, "a", "ns")
    assert kept is not None
    assert kept["metadata"]["resourceVersion"] == "7"
    seen = [int(change.new["metadata"]["resourceVersion"]) for change in changes if change.new]
    assert seen == sorted(seen)
