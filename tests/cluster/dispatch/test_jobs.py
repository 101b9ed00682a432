"""Dispatch against a real cluster: real Jobs, the real worker, real deaths."""

import asyncio
import hashlib
import random
from typing import Any, cast

from goldpool.contracts.facts import LocationState
from goldpool.contracts.operations import DeleteVolume, Probe
from goldpool.contracts.report import FailureReason, Progress
from goldpool.dispatch.outcome import Failed, Pending, Running, Succeeded
from goldpool.dispatch.record import JobKind
from goldpool.dispatch.settings import Limits
from goldpool.kube.client import KubeClient
from goldpool.kube.port import Propagation, Resource
from goldpool.kube.resources import JOB, POD
from tests.cluster.dispatch.world import Operator, Place, eventually, jobs_of, operator, pods_of, served

HANG = ("python3", "-c", "import time; time.sleep(600)")
"""PID 1 that ignores SIGTERM and never reports."""


async def initialized(running: Operator) -> None:
    initialization = running.place.initialization()
    await running.ask(initialization)
    ended = await running.ends(initialization)
    assert isinstance(ended["initialize"], Succeeded), ended
    await running.settle([initialization])


async def executing(client: KubeClient, place: Place) -> str:
    """The name of the pod that runs."""
    found: list[str] = []

    async def runs() -> bool:
        for pod in await pods_of(client, place):
            states = [c["state"] for c in pod["status"].get("containerStatuses", ())]
            if any("running" in state for state in states):
                found.append(pod["metadata"]["name"])
        return bool(found)

    await eventually(runs)
    return found[0]


async def none_left(client: KubeClient, place: Place) -> None:
    async def no_jobs() -> bool:
        return not await jobs_of(client, place) and not await pods_of(client, place)

    await eventually(no_jobs)


async def test_a_locations_life(client: KubeClient, place: Place) -> None:
    """Initialise, look, make, delete: each in a Job of its own user, and nothing stays behind."""
    async with operator(client, place) as running:
        await initialized(running)
        probe, blank = Probe(id="probe-1", location=place.location), place.blank("v-1")
        deletion = DeleteVolume(id="delete-v-1", location=place.location, storage_id="v-1")
        for operation in (probe, blank, deletion):
            await running.ask(operation)
            ended = (await running.ends(operation))[operation.id]
            assert isinstance(ended, Succeeded), ended
            assert ended.facts is not None
            assert ended.facts.state is LocationState.OK
            assert running.woken[operation.id] == 1
            await running.settle([operation])
        seen = running.dispatcher.facts(place.location)
        assert seen is not None
        assert seen[0].total_bytes > 0
        await none_left(client, place)


async def test_two_hundred_operations_take_few_jobs(client: KubeClient, place: Place) -> None:
    async with operator(client, place) as running:
        await initialized(running)
        before = running.jobs_seen
        blanks = [place.blank(f"v-{number}") for number in range(200)]
        await running.ask(*blanks)
        ended = await running.ends(*blanks)
        assert all(isinstance(outcome, Succeeded) for outcome in ended.values())
        assert running.jobs_seen - before <= 3
        await running.settle(blanks)
        await none_left(client, place)


async def test_a_restarted_operator_starts_nothing_twice(client: KubeClient, place: Place) -> None:
    blanks = [place.blank(f"v-{number}") for number in range(20)]
    async with operator(client, place) as running:
        await initialized(running)
        await none_left(client, place)
        await running.ask(*blanks)

        async def in_flight() -> bool:
            return bool(await jobs_of(client, place))

        await eventually(in_flight)
        first = {job["metadata"]["uid"] for job in await jobs_of(client, place)}
    async with operator(client, place) as successor:
        await successor.ask(*blanks)
        ended = await successor.ends(*blanks)
        assert all(isinstance(outcome, Succeeded) for outcome in ended.values())
        assert {uid for uids in successor.jobs.values() for uid in uids} == first
        await successor.settle(blanks)
        await none_left(client, place)


async def test_a_result_from_before_the_restart_is_found(client: KubeClient, place: Place) -> None:
    blank = place.blank("v-1")
    async with operator(client, place) as running:
        await initialized(running)
        await running.ask(blank)
        await running.ends(blank)
    async with operator(client, place) as successor:
        # Nobody had to ask: the first pass of a controller already sees it.
        assert isinstance(successor.dispatcher.outcome(blank.id), Succeeded)
        await successor.settle([blank])
        await none_left(client, place)


async def test_a_killed_pod_is_lost_and_tried_again(client: KubeClient, place: Place) -> None:
    """What it had begun is done by a second Job, after the first one's process has ended."""
    blank = place.blank("v-1")
    async with operator(client, place, command=HANG, grace_seconds=1) as running:
        await running.ask(blank)
        pod = await client.get(POD, await executing(client, place), place.namespace)
        await client.delete(POD, pod["metadata"]["name"], place.namespace, uid=pod["metadata"]["uid"])

        async def tried_again() -> bool:
            return running.jobs_seen == 2

        await eventually(tried_again)
        assert isinstance(running.dispatcher.outcome(blank.id), Running)
        second = await client.get(POD, await executing(client, place), place.namespace)
        assert second["metadata"]["uid"] != pod["metadata"]["uid"]
        await client.delete(POD, second["metadata"]["name"], place.namespace, uid=second["metadata"]["uid"])
        failed = (await running.ends(blank))[blank.id]
        assert isinstance(failed, Failed)
        assert (failed.reason, failed.permanent) == (FailureReason.LOST, False)
        await running.settle([blank])
        await none_left(client, place)


async def test_a_deleted_job_frees_its_slot_only_when_its_process_has_ended(
    client: KubeClient, place: Place
) -> None:
    """Background deletion takes the Job at once and leaves its pod running for its grace."""
    limits = Limits(lost_delay_seconds=0.0)
    async with operator(client, place, command=HANG, grace_seconds=4, limits=limits) as running:
        blank = place.blank("v-1")
        await running.ask(blank)
        first = await executing(client, place)
        (job,) = await jobs_of(client, place)
        await client.delete(
            JOB,
            job["metadata"]["name"],
            place.namespace,
            uid=job["metadata"]["uid"],
            propagation=Propagation.BACKGROUND,
        )

        async def tried_again() -> bool:
            pods = await pods_of(client, place)
            alive = [
                p["metadata"]["name"] for p in pods if "running" in str(p["status"].get("containerStatuses"))
            ]
            assert len(alive) <= 1
            return bool(alive) and alive != [first]

        await eventually(tried_again)


class LateAnswers:
    """The client, but for the answer to the next deletion of a Job: it comes when the test lets it."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self.next_is_late = False
        self.deleted, self.answered = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def delete(self, resource: Resource, *words: Any, **more: Any) -> None:
        await self._client.delete(resource, *words, **more)
        if resource == JOB and self.next_is_late:
            self.next_is_late = False
            self.deleted.set()
            await self.answered.wait()


async def test_a_late_answer_to_a_deletion_is_not_taken_for_the_next_jobs_end(
    client: KubeClient, place: Place
) -> None:
    """The Job was seen to go before the answer came, and by then the slot is another's."""
    late = LateAnswers(client)
    async with operator(cast("KubeClient", late), place) as running:
        await initialized(running)
        await none_left(client, place)
        late.next_is_late = True
        first, second = place.blank("v-1"), place.blank("v-2")
        await running.ask(first)
        await running.ends(first)
        await running.settle([first])
        await late.deleted.wait()

        async def slot_free() -> bool:
            return running.dispatcher.load()[1][JobKind.SLOT] == 0

        await eventually(slot_free)
        before = running.jobs_seen
        await running.ask(second)

        async def another_job() -> bool:
            return running.jobs_seen == before + 1

        await eventually(another_job)
        late.answered.set()
        for _ in range(20):
            await asyncio.sleep(0)  # what waits for the answer goes on
        assert not isinstance(running.dispatcher.outcome(second.id), Pending), "it is in a Job"
        ended = await running.ends(second)
        assert isinstance(ended[second.id], Succeeded), ended
        await running.settle([second])
        await none_left(client, place)
        assert running.jobs_seen == before + 1


async def test_a_missing_path_is_not_mounted(client: KubeClient, place: Place) -> None:
    elsewhere = Place(place.namespace, place.node, f"{place.path}-none", place.location)
    probe = Probe(id="probe-1", location=place.location)
    async with operator(client, elsewhere, start_seconds=5.0) as running:
        await running.ask(probe)
        failed = (await running.ends(probe))[probe.id]
        assert isinstance(failed, Failed)
        assert failed.reason is FailureReason.NOT_MOUNTED
        assert "is not a directory" in failed.message
        await none_left(client, place)  # without anybody settling it


async def test_an_absent_image_fails(client: KubeClient, place: Place) -> None:
    probe = Probe(id="probe-1", location=place.location)
    async with operator(client, place, start_seconds=4.0, image="goldpool.local/none:dev") as running:
        await running.ask(probe)
        failed = (await running.ends(probe))[probe.id]
        assert isinstance(failed, Failed)
        assert failed.reason is FailureReason.LOST
        assert "ErrImageNeverPull" in failed.message
        await none_left(client, place)


async def test_a_host_that_is_no_node_fails(client: KubeClient, place: Place) -> None:
    nowhere = Place(place.namespace, "no-such-node", place.path, place.location)
    probe = Probe(id="probe-1", location=place.location)
    async with operator(client, nowhere, schedule_seconds=2.0) as running:
        await running.ask(probe)
        failed = (await running.ends(probe))[probe.id]
        assert isinstance(failed, Failed)
        assert "no node took" in failed.message
        await none_left(client, place)


async def test_progress_of_a_transfer_is_followed(client: KubeClient, place: Place) -> None:
    """The pod tells three times; it is the operation's progress, and wakes its owner, once in ``progress_seconds``."""
    program = (
        "import time\n"
        'for n in range(1, 4): print(\'{"progress": {"done_bytes": %d, "total_bytes": 9}}\' % n, flush=True)\n'
        "time.sleep(600)"
    )
    fetch = place.fetch("http://198.18.0.1:9/none")
    quick = {"command": ("python3", "-c", program), "grace_seconds": 1, "progress_seconds": 600.0}
    async with operator(client, place, **quick) as running:
        await running.ask(fetch)

        async def followed() -> bool:
            outcome = running.dispatcher.outcome(fetch.id)
            return isinstance(outcome, Running) and outcome.progress is not None

        await eventually(followed)
        assert running.woken[fetch.id] == 1
    async with operator(client, place, **{**quick, "progress_seconds": 0.01}) as running:

        async def told_all() -> bool:
            return running.dispatcher.outcome(fetch.id) == Running(Progress(done_bytes=3, total_bytes=9))

        await eventually(told_all)  # it is the last that the pod says, and still is told
        (job,) = await jobs_of(client, place)
        assert job["metadata"]["name"].startswith("fetch-p-1-")


async def test_a_real_transfer_brings_its_revision(client: KubeClient, place: Place) -> None:
    body = random.Random(1).randbytes(3 << 20)
    digest = hashlib.sha256(body).hexdigest()
    async with served(body) as url, operator(client, place) as running:
        await initialized(running)
        fetch = place.fetch(url, digest)
        await running.ask(fetch)
        ended = (await running.ends(fetch))[fetch.id]
        assert isinstance(ended, Succeeded), ended
        assert ended.fetched is not None
        assert (ended.fetched.revision, ended.fetched.file_bytes) == (digest, len(body))
        await running.settle([fetch])
        await none_left(client, place)


async def test_jobs_in_flight_are_found_by_the_names_they_touch(client: KubeClient, place: Place) -> None:
    async with operator(client, place, command=HANG, grace_seconds=1) as running:
        await running.ask(place.blank("v-1"))
        await executing(client, place)
        (job,) = await jobs_of(client, place)
        assert await running.dispatcher.users_of("v-1") == [job["metadata"]["name"]]
        assert await running.dispatcher.users_of(place.location) == [job["metadata"]["name"]]
        assert await running.dispatcher.users_of("v-2") == []


async def test_two_leaders_start_one_job(client: KubeClient, place: Place) -> None:
    """An old leader that does not know it yet: the Job's name is the mutex."""
    blank = place.blank("v-1")
    async with operator(client, place) as one, operator(client, place) as two:
        await initialized(one)
        await none_left(client, place)
        await asyncio.gather(one.ask(blank), two.ask(blank))
        ended = [(await leader.ends(blank))[blank.id] for leader in (one, two)]
        assert all(isinstance(outcome, Succeeded) for outcome in ended)
        uids = {uid for leader in (one, two) for name in leader.jobs for uid in leader.jobs[name]}
        assert len(uids) == 2  # the initialisation, and one
