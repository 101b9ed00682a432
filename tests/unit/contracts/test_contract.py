"""What is refused of what arrives, and what of it survives the way."""

import json
from typing import Any

import pytest

from goldpool.contracts.layout import LocationIdentity
from goldpool.contracts.machine import Ended, Exit, GuestState
from goldpool.contracts.model import Contract, Misread
from goldpool.contracts.operations import (
    Batch,
    Checksum,
    DeleteVolume,
    Fetch,
    FetchPolicy,
    Probe,
    ProbeSource,
)
from goldpool.contracts.report import Failure, FailureReason, Report

IDENTITY = {"location": "loc-1", "cluster": "c-1", "pool": "std"}
DELETION = {"kind": "DeleteVolume", "id": "d", "location": "loc-1", "storage_id": "v-1"}
SOURCE = {
    "kind": "ProbeSource",
    "id": "s",
    "template": "t",
    "template_uid": "u",
    "format": "iso",
    "source": {"urls": []},
}
FETCH = SOURCE | {"kind": "Fetch", "location": "loc-1", "parent": "p-1"}


def batch(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"operations": list(operations)}


@pytest.mark.parametrize(
    ("contract", "fields", "place"),
    [
        (LocationIdentity, IDENTITY | {"location": "../etc"}, "location"),
        (LocationIdentity, IDENTITY | {"location": "a/b"}, "location"),
        (LocationIdentity, IDENTITY | {"location": ".."}, "location"),
        (LocationIdentity, IDENTITY | {"location": ""}, "location"),
        (LocationIdentity, IDENTITY | {"location": "loc-1\n"}, "location"),  # Python's $ would let it pass
        (LocationIdentity, IDENTITY | {"location": "x\nloc-1"}, "location"),
        (LocationIdentity, IDENTITY | {"version": "1"}, "version"),
        (LocationIdentity, IDENTITY | {"since": 1}, "since"),
        (LocationIdentity, {"location": "loc-1"}, "cluster"),
        (Checksum, {"algorithm": "crc32", "hex": "ab" * 16}, "algorithm"),
        (Checksum, {"algorithm": "md5", "hex": "AB" * 16}, "hex"),
        (Checksum, {"algorithm": "md5", "hex": "ab" * 16 + "\n"}, "hex"),
        (FetchPolicy, {"attempts": 0}, "attempts"),
        (FetchPolicy, {"min_speed_seconds": 0}, "min_speed_seconds"),
        (FetchPolicy, {"max_window_bytes": 1}, "max_window_bytes"),
        (FetchPolicy, {"addresses": {"deny": ["10.0.0.1/8"]}}, "deny"),
        (FetchPolicy, {"proxies": {"http": "http://user:secret@proxy"}}, "proxies.http"),
        (Batch, batch(DELETION | {"kind": "Format"}), "operations[0].kind"),
        (Batch, batch({"id": "d", "location": "loc-1", "storage_id": "v-1"}), "operations[0]"),
        (Batch, batch(DELETION, DELETION | {"storage_id": "v/1"}), "operations[1].storage_id"),
        (Batch, batch(DELETION | {"force": True}), "operations[0]"),
        (Batch, batch(SOURCE | {"location": "loc-1"}), "operations[0]"),
        (Ended, {"reason": "Bored"}, "reason"),
        (Ended, {"reason": "Stopped", "message": "x" * 1025}, "message"),
        (Report, {"done": "-1"}, "done"),
        (Report, {"failures": [{"index": 0, "reason": "Unlucky", "message": ""}]}, "failures[0].reason"),
    ],
)
def test_what_is_not_understood_is_refused_by_its_place(
    contract: type[Contract], fields: dict[str, Any], place: str
) -> None:
    with pytest.raises(Misread) as refused:
        contract.from_json(json.dumps(fields))
    assert place in str(refused.value)
    with pytest.raises(Misread):
        contract.from_fields(fields)


def test_a_refusal_does_not_repeat_what_arrived() -> None:
    with pytest.raises(Misread) as refused:
        Batch.from_json(json.dumps(batch(FETCH | {"source": {"urls": "https://u:hunter2@mirror/"}})))
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", b"\xff\xfe", b'{"reason": "\xff"}', '{"reason": "Stopped"} {}', "[" * 100_000],
)
def test_what_is_no_json_is_misread(text: str | bytes) -> None:
    with pytest.raises(Misread):
        Ended.from_json(text)


def test_an_operation_is_known_by_its_kind() -> None:
    read = Batch.from_json(
        json.dumps(batch(DELETION, SOURCE, FETCH, {"kind": "Probe", "id": "p", "location": "l"}))
    )
    assert [type(one) for one in read.operations] == [DeleteVolume, ProbeSource, Fetch, Probe]
    assert [one.kind for one in read.operations] == ["DeleteVolume", "ProbeSource", "Fetch", "Probe"]
    assert Batch.from_json(read.to_json()) == read


def test_the_log_may_say_more_than_a_guests_state() -> None:
    line = {"event": "guest state", "status": "running", "failing": {}, "time": 1, "level": "info"}
    assert GuestState.from_json(json.dumps(line)) == GuestState(
        event="guest state", status="running", failing={}
    )
    with pytest.raises(Misread):
        GuestState.from_json(json.dumps(line | {"event": "ended"}))


def test_a_contract_is_made_by_name_and_never_changed() -> None:
    end = Ended(reason=Exit.STOPPED)
    with pytest.raises(TypeError):
        Ended(1, Exit.STOPPED)  # type: ignore[misc]
    with pytest.raises(AttributeError):
        end.message = "x"  # type: ignore[misc]
    assert end.replace(message="x") == Ended(reason=Exit.STOPPED, message="x")
    assert Ended.from_json(end.to_json(indent=2)) == end


def test_reasons_travel_as_their_words() -> None:
    sent = Report(failures=(Failure(index=3, reason=FailureReason.POOL_FULL, message="m"),)).to_json()
    assert json.loads(sent)["failures"] == [{"index": 3, "reason": "PoolFull", "message": "m"}]
    (failure,) = Report.from_json(sent).failures
    assert failure.reason is FailureReason.POOL_FULL
