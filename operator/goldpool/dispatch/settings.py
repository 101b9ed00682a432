"""What an administrator may set about storage Jobs. Seconds and bytes; every limit settable, so no test waits."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the bookkeeping (``Book``)."""

    operations: int = 200
    """Most operations of one Job: a Job of 200 tiny ones takes as long as one of 1 (jobs.md §2)."""
    adoptions: int = 12
    """Most of them that adopt: each one's finding must fit into the termination message."""
    batch_bytes: int = 120_000
    """Largest batch as JSON; the kernel takes 131,072 for one environment string, name included (jobs.md §3)."""
    gather_seconds: float = 0.02
    """What is asked within this time goes into the same Job."""
    second_gather_seconds: float = 0.2
    """While another Job of that location and host is in flight, one gathers until nothing was asked for this long: it
    takes the last slot, and what misses it waits for the end of a whole Job."""
    second_longest_seconds: float = 1.0
    """The first of those operations waits no longer than this."""
    burst_operations: int = 16
    """So many waiting for one Job are a burst: it goes on gathering while they keep coming, so that a thousand Volumes
    take a handful of Jobs instead of two a second."""
    burst_quiet_seconds: float = 0.3
    """A burst has ended when nothing was asked for this long,"""
    burst_seconds: float = 4.0
    """and its first operation waits no longer than this."""
    fetches_per_host: int = 2
    fetches_per_pool: int = 4
    fetches: int = 16
    source_probes_per_host: int = 4
    source_probes: int = 8
    lost_delay_seconds: float = 1.0
    """Before the operations of a Job without results go again, times the number of losses."""
    linger_seconds: float = 5.0
    """An unsettled result does not hold its Job, and so its slot, for longer while others wait for the slot."""
    unclaimed_seconds: float = 30.0
    """Nor for longer than this when nobody waits: whoever asked has changed its mind, or was another operator."""
    keep_seconds: float = 600.0
    """An outcome that nobody settles is forgotten after this time."""


@dataclass(frozen=True, slots=True)
class DispatchSettings:
    """``command`` replaces the image's entrypoint; only tests need it."""

    image: str
    namespace: str = "goldpool-data"
    service_account: str = "goldpool-workload"
    image_pull_policy: str = "IfNotPresent"
    priority_class: str = ""
    """Empty for none."""
    command: tuple[str, ...] = ()
    requests: dict[str, str] = field(default_factory=lambda: {"cpu": "20m", "memory": "48Mi"})
    memory_limit: str = "512Mi"
    limits: Limits = Limits()
    deadline_seconds: int = 600
    """How long the pod of a batch may run. A fetch has its own policy's total on top."""
    probe_deadline_seconds: int = 60
    """The same for a pod that asks a source: it has nothing to finish."""
    grace_seconds: int = 30
    start_seconds: float = 20.0
    """A scheduled pod whose container has not started by then fails its operations."""
    schedule_seconds: float = 30.0
    """The same for a pod that no node takes."""
    host_lost_seconds: float = 60.0
    """A pod that outlives its deletion by this much is on a lost host: its operations fail, its slot stays taken."""
    retry_seconds: float = 1.0
    """Between two tries at a request the API server refused, and at a slot that is not free."""
    sweep_seconds: float = 15.0
    """Between two comparisons of what is in flight with the cache."""
    progress_seconds: float = 2.0
    """A transfer's owner is woken at most this often."""
