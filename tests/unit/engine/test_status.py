import pytest

from goldpool.engine.status import StatusMemory, normal, only_status_changed
from goldpool.kube.port import Change, Key, Obj, Resource

TOY = Resource("example.io", "v1", "Toy", "toys", namespaced=True)
KEY = Key("Toy", "ns", "a")


def a_toy(status: Obj | None = None, *, version: str = "1", **metadata: object) -> Obj:
    obj: Obj = {"metadata": {"name": "a", "resourceVersion": version, **metadata}, "spec": {"size": 1}}
    return obj if status is None else obj | {"status": status}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"a": None, "b": 0, "c": ""}, {"b": 0, "c": ""}),
        ({"a": {"b": None}}, {"a": {}}),
        ({"a": [{"b": None, "c": 1}]}, {"a": [{"c": 1}]}),
        ({"a": (1, 2)}, {"a": [1, 2]}),
    ],
)
def test_absent_and_null_are_the_same(status: Obj, expected: Obj) -> None:
    assert normal(status) == expected


@pytest.mark.parametrize(
    ("desired", "current", "foreign", "differs"),
    [
        ({"a": 1}, {"a": 1}, (), False),
        ({"a": 1}, {"a": 2}, (), True),
        ({"a": 1}, None, (), True),
        ({}, None, (), False),
        ({"a": 1}, {"a": 1, "b": 2}, (), True),  # a field of ours that must go, as far as we know
        ({"a": 1}, {"a": 1, "b": 2}, ("b",), False),  # somebody else's
        ({"a": 1}, {"a": 2, "b": 2}, ("b",), True),
    ],
)
def test_a_status_is_written_when_it_differs(
    desired: Obj, current: Obj | None, foreign: tuple[str, ...], differs: bool
) -> None:
    assert StatusMemory().differs("owner", desired, a_toy(current), foreign) is differs


def test_what_the_server_made_of_it_is_remembered() -> None:
    memory, desired = StatusMemory(), {"refs": [{"pool": "p"}]}
    answer = a_toy({"refs": [{"pool": "p", "host": ""}]}, version="2")
    memory.applied("owner", desired, answer)
    assert not memory.differs("owner", desired, answer)
    assert memory.differs("owner", {"refs": []}, answer)
    assert memory.differs("owner", desired, a_toy({"refs": []}, version="3"))  # somebody touched it
    assert memory.differs("other", desired, answer)
    memory.forget("owner")
    assert memory.differs("owner", desired, answer)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (a_toy({"a": 1}), a_toy({"a": 2}, version="2"), True),
        (a_toy(), a_toy({"a": 2}, version="2"), True),
        (a_toy(), a_toy({"a": 2}, version="2", labels={"b": "c"}), False),
        (a_toy(), a_toy(version="2", deletionTimestamp="now"), False),
        (a_toy(), a_toy(version="2") | {"spec": {"size": 2}}, False),
        (None, a_toy(), False),
        (a_toy(), None, False),
    ],
)
def test_nothing_but_the_status_changed(old: Obj | None, new: Obj | None, expected: bool) -> None:
    assert only_status_changed(Change(TOY, KEY, old, new)) is expected
