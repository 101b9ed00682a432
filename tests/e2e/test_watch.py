"""Downloads that somebody watches: on a terminal, in a script, and what the watching costs the API server."""

import json
import random
import threading
import time

from tests.e2e.cli import Terminal, goldpool
from tests.e2e.server import Image
from tests.e2e.site import Site
from tests.servers.misbehaving import Body

NODE = "node-2"
DISK = random.Random(5).randbytes(48 << 20)
RATE = 512 << 10
"""More than a minute and a half, unless the test has seen enough before."""
LATE_SECONDS = 4
CTRL_C, CURSOR_IS_SHOWN = "\x03", "\x1b[?25h"


class Writes:
    """Every write of a template's copies, watched from now on, with what the status then said of the transfer."""

    def __init__(self, site: Site, template: str) -> None:
        self._site, self._template = site, template
        self._version = site.api.version("Parent", "")
        self._seen: list[tuple[float, str, str]] = []
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def of_transfer(self) -> list[tuple[float, str]]:
        """(when, bytes fetched) of each write that changed how far the transfer is, while it went on."""
        found: list[tuple[float, str]] = []
        for when, state, done in [*self._seen]:
            if state == "Fetching" and done and (not found or found[-1][1] != done):
                found.append((when, done))
        return found

    def states(self) -> list[str]:
        return [state for _, state, _ in [*self._seen]]

    def _follow(self) -> None:
        for line in self._site.api.watch("Parent", "", self._version, 300):
            event = json.loads(line)
            parent = event["object"]
            if parent["spec"]["template"] == self._template:
                status = parent.get("status") or {}
                self._seen.append((time.monotonic(), str(status.get("state")), str(status.get("done", ""))))


def test_a_download_is_watched_to_its_end(site: Site) -> None:
    golden, _ = site.pools_on(NODE)
    seen_enough = threading.Event()
    # The server says no size: what is shown is an amount.
    slow = Body(DISK, bytes_per_second=lambda: None if seen_enough.is_set() else RATE, framing="chunked")
    path = f"/{site.token}"
    url = site.images.answer(path, slow)
    writes = Writes(site, site.name("watched"))
    template = site.template(Image(DISK), stem="watched", url=url, image_format="raw", prepare=[golden])

    # Somebody in a script is not served in time, and the download goes on.
    said = goldpool("watch", "template", template, "--timeout", "1s", status=3)
    assert "is not there yet after 1 s" in said.stderr

    impatient = Terminal("watch", "template", template)
    try:
        impatient.shows("Fetching")
        impatient.press(CTRL_C)
        impatient.shows(CURSOR_IS_SHOWN)
        assert impatient.ended() == 1
    finally:
        impatient.close()

    terminal = Terminal("watch", "template", template)
    try:
        terminal.shows(f"Template {template}: 0 of 1 copies are there")
        terminal.shows(f"{NODE}/{golden}")
        terminal.shows("Fetching")
        terminal.shows("i/s")
        (shown,) = site.eventually(
            lambda: [p["status"] for p in site.parents(template) if "rate" in p["status"]],
            "the copy tells its rate",
        )
        assert "%" not in shown["progress"]
        assert "expected" not in shown
        assert shown["mirror"] == url
        site.eventually(lambda: len(writes.of_transfer()) >= 2, "the watch has seen how it goes on")
        seen_enough.set()
        terminal.shows(f"Template {template}: 1 verified copies")
        assert terminal.ended() == 0
    finally:
        terminal.close()

    site.eventually(lambda: "Ready" in writes.states(), "the watch has seen the end")
    told = writes.of_transfer()
    # Written at most every two seconds. A watch may hand over late what was written in time, but never early, so the span
    # from the first to the last write is at least what it seems but for the first one's delay.
    assert len(told) - 1 <= (told[-1][0] - told[0][0] + LATE_SECONDS) / 2, told
    gets = [request for request in site.images.requests_of(path, "GET") if "Range" not in request.headers]
    assert [request.sent for request in gets] == [len(DISK)]

    # It is there: the same command ends at once, and a program reads what it says.
    lines = [
        json.loads(line) for line in goldpool("watch", "template", template, "-o", "json").stdout.splitlines()
    ]
    assert lines[-1] == {"template": template, "result": "Ready", "message": "1 verified copies"}
    assert (lines[0]["state"], lines[0]["host"], lines[0]["done"]) == ("Ready", NODE, len(DISK))
    assert f"Template {template}: 1 verified copies" in goldpool("watch", "gtpl", template).stdout
    goldpool("watch", "template", site.name("nobody"), status=1)


def test_a_source_that_is_wrong_ends_the_watching(site: Site, boot: Image) -> None:
    golden, _ = site.pools_on(NODE)
    template = site.template(boot, checksum="sha256:" + "0" * 64, prepare=[golden])
    said = goldpool("watch", "template", template, status=1)
    assert f"Error: template {template}: {NODE}" in said.stderr
    assert f"{NODE}/{golden} Failed ChecksumMismatch" in said.stdout
