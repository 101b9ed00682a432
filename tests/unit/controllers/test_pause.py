"""What the runtime's log says about a guest that does not run."""

import pytest

from goldpool.contracts.machine import GUEST_STATE
from goldpool.controllers.virtualmachine.evidence import may_say_why
from goldpool.controllers.virtualmachine.observed import Pause
from goldpool.controllers.virtualmachine.pause import pause_of, sentence
from goldpool.controllers.virtualmachine.plan import plan
from goldpool.kube.port import Obj
from goldpool.planning.snapshot import NodeView
from tests.unit.controllers.builders import NOW, a_blank_volume, a_container, a_node, a_pod, ago
from tests.unit.controllers.machines import a_disk, a_ready_disk
from tests.unit.controllers.reading import effects_of, field, message, reason
from tests.unit.controllers.test_machine_running import BOOTED, followed

DISKS = (a_ready_disk(), a_disk(a_blank_volume(made=True), name="data", root=False))
FULL = '{"time":"t","level":"info","event":"guest state","status":"io-error","failing":{"root":"nospace"}}'
WELL = '{"time":"t","level":"info","event":"guest state","status":"running","failing":{}}'
BROKEN = FULL.replace("nospace", "failed").replace("root", "data")


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ([], []),
        (["a guest's console", "{not json", '{"event": "guest event", "name": "STOP"}'], []),
        ([WELL], []),
        ([FULL], [Pause("root", True)]),
        ([WELL, FULL, "", "BS-UP"], [Pause("root", True)]),
        ([FULL, WELL], []),
        ([FULL, BROKEN], [Pause("data", False)]),
        ([FULL.replace("root", "nobody's")], []),
        ([FULL.replace("{", "[")], []),
    ],
    ids=[
        "silent",
        "noise",
        "runs",
        "full",
        "noise after it",
        "goes on",
        "the last",
        "a forged disk",
        "garbled",
    ],
)
def test_the_runtimes_last_word_counts(log: list[str], expected: list[Pause]) -> None:
    assert list(pause_of("\n".join(log), DISKS)) == expected


def test_the_log_line_is_what_the_contract_says() -> None:
    assert f'"event":"{GUEST_STATE}"' in FULL


@pytest.mark.parametrize(
    ("pause", "words"),
    [
        (
            Pause("root", True),
            ["disk root", "StoragePool std-a on node-1 is full", "nothing is lost", "by itself"],
        ),
        (Pause("data", False), ["disk data", "StoragePool std-a on node-1", "I/O errors"]),
    ],
)
def test_the_disk_the_pool_and_the_remedy_are_named(pause: Pause, words: list[str]) -> None:
    said = sentence([pause], DISKS)
    assert all(word in said for word in words), said


@pytest.mark.parametrize("status", [BOOTED, {}], ids=["booted before", "in its first boot"])
def test_a_machine_whose_pool_is_full_says_so_and_is_not_given_up(status: dict[str, str]) -> None:
    pod = a_pod(containers=[a_container()], created=ago(3600))
    found = plan(followed(pod, status=status, pauses=(Pause("root", True),)))
    assert (reason(found), field(found, "phase")) == ("StoragePaused", "StoragePaused")
    assert "is full" in message(found)
    assert (found.effects, found.again_after) == ((), 5)


def test_a_lost_host_is_named_before_what_its_log_last_said() -> None:
    pod = a_pod(containers=[a_container()])
    found = plan(followed(pod, status=BOOTED, pauses=(Pause("root", True),), pod_node=a_node(ready=False)))
    assert reason(found) == "HostLost"
    assert effects_of(found, object) == []


@pytest.mark.parametrize(
    ("pod", "host", "asked"),
    [
        (a_pod(containers=[a_container()]), a_node(), True),
        (a_pod(ready=True), a_node(), False),
        (a_pod(), a_node(), False),
        (a_pod(containers=[a_container()]), a_node(ready=False), False),
        (a_pod(containers=[a_container()]), None, False),
        (a_pod(containers=[a_container(startedAt=ago(2))]), a_node(), False),
        (a_pod(containers=[a_container(startedAt=ago(3))]), a_node(), True),
    ],
    ids=[
        "does not run",
        "runs",
        "has not started",
        "its host does not answer",
        "its host was deleted",
        "begins",
        "began",
    ],
)
def test_only_a_host_that_answers_is_asked_why(pod: Obj, host: NodeView | None, asked: bool) -> None:
    assert may_say_why(pod, host, NOW) is asked
