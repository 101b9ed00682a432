"""Completion, asked of the shells themselves; names come from a server that answers as an API server would."""

import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from goldpool.cli import completion
from goldpool.cli.kubectl_completion import candidates
from tests.unit.cli.apiserver import Answer, a_list, a_status, serving
from tests.unit.cli.builders import a_machine, a_template

PROGRAMS = Path(sys.executable).parent
DEADLINE_SECONDS = 150

Complete = Callable[[str], set[str]]


@pytest.fixture
def answers() -> dict[str, Answer]:
    machines = a_list(*(a_machine(name).to_dict() for name in ("db-1", "web-1", "web-2")))
    templates = a_list(*(a_template(name).to_dict() for name in ("debian-12", "debian-13", "alpine")))
    return {"/namespaces/team/virtualmachines": machines, "/templates": templates}


@pytest.fixture
def environment(
    answers: dict[str, Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    with serving(answers, tmp_path) as kubeconfig:
        monkeypatch.setattr(completion, "_SECONDS", DEADLINE_SECONDS)
        path = f"{PROGRAMS}:{os.environ['PATH']}"
        yield {
            "PATH": path,
            "KUBECONFIG": str(kubeconfig),
            "HOME": str(tmp_path),
            "TERM": "dumb",
            "LC_ALL": "C.UTF-8",
            "GOLDPOOL_COMPLETION_SECONDS": str(DEADLINE_SECONDS),
        }


def bash(line: str, environment: dict[str, str]) -> set[str]:
    """What bash would offer: it runs the function that the script gave it for the program."""
    script = f"""
        source <(kubectl-goldpool completion bash)
        COMP_WORDS=({line}{" ''" if line.endswith(" ") else ""})
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        function=$(complete -p kubectl-goldpool | sed 's/.*-F \\([^ ]*\\).*/\\1/')
        $function kubectl-goldpool
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return ran(["bash", "--norc", "-c", script], environment)


def fish(line: str, environment: dict[str, str]) -> set[str]:
    script = f"kubectl-goldpool completion fish | source; complete -C '{line}'"
    return {each.partition("\t")[0] for each in ran(["fish", "--no-config", "-c", script], environment)}


def zsh(line: str, environment: dict[str, str]) -> set[str]:
    """At a terminal, with the Tab key: zsh completes nowhere else. It lists one candidate per line, as told to."""
    setup = (
        "PS1='ready> '; unsetopt zle_bracketed_paste beep; autoload -Uz compinit; compinit -u -D; "
        "zstyle ':completion:*' list-packed no; setopt list_rows_first; LISTMAX=0; COLUMNS=20; "
        "offer() { zle list-choices; zle -R; print -r -- off''ered >$TTY }; zle -N offer; bindkey '^I' offer; "
        "source <(kubectl-goldpool completion zsh); print -r -- set''up\n"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe("zsh", ["zsh", "-f", "-i"], environment)
    try:
        os.write(terminal, setup.encode())
        shown(terminal, b"setup\r\n")
        # Nothing is typed ahead: a shell with keys to read puts off what it has to show.
        os.write(terminal, line.encode() + b"\t")
        text = shown(terminal, b"offered\r\n")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)
    return set(text.decode(errors="replace").replace("\r", " ").replace("\x1b", " ").split())


def shown(terminal: int, mark: bytes) -> bytes:
    text, end = b"", time.monotonic() + DEADLINE_SECONDS
    while mark not in text:
        assert time.monotonic() < end, f"no {mark!r}: {text!r}"
        if select.select([terminal], [], [], 1)[0]:
            text += os.read(terminal, 4096)
    return text


def ran(argv: list[str], environment: dict[str, str]) -> set[str]:
    done = subprocess.run(
        argv, env=environment, capture_output=True, text=True, check=True, timeout=DEADLINE_SECONDS
    )
    return {line for line in done.stdout.splitlines() if line}


@pytest.fixture(params=[bash, zsh, fish], ids=["bash", "zsh", "fish"])
def complete(request: pytest.FixtureRequest, environment: dict[str, str]) -> Complete:
    shell = request.param
    if not shutil.which(shell.__name__):
        pytest.skip(f"needs {shell.__name__}")
    return lambda line: set(shell(line, environment))


def test_a_shell_completes_commands(complete: Complete) -> None:
    assert {"start", "stop"} <= complete("kubectl-goldpool st")
    assert "tree" not in complete("kubectl-goldpool st")


def test_a_shell_completes_machines_of_the_namespace_on_the_line(complete: Complete) -> None:
    offered = complete("kubectl-goldpool restart -n team web-")
    assert {"web-1", "web-2"} <= offered
    assert "db-1" not in offered


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["console", "-n", "team", ""], ["db-1", "web-1", "web-2"]),
        (["console", "-n", "other", ""], []),
        (["stop", "--context", "team", "web"], ["web-1", "web-2"]),
        (["stop", "--context", "team", "web-1", "web"], ["web-2"]),  # named already
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["watch", "t"], ["template", "templates"]),
        (["watch", "template", "deb"], ["debian-12", "debian-13"]),
        (["tree", "--golden"], ["--golden-only\tGolden pools and what hangs on them only."]),
    ],
)
def test_kubectl_is_told_candidates(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, words: list[str], offered: list[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", environment["KUBECONFIG"])
    assert candidates(words) == offered


def test_who_presses_tab_gets_no_error(
    environment: dict[str, str], answers: dict[str, Answer], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBECONFIG", environment["KUBECONFIG"])
    answers["/virtualmachines"] = a_status(403, "Forbidden")
    assert candidates(["stop", "-n", "mine", ""]) == []
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    assert candidates(["stop", ""]) == []


def test_kubectl_itself_completes(environment: dict[str, str]) -> None:
    """Through the program that it looks for on the PATH."""
    if not shutil.which("kubectl"):
        pytest.skip("needs kubectl")
    assert ran(["kubectl", "__complete", "goldpool", "stop", "-n", "team", "web"], environment) >= {
        "web-1",
        "web-2",
    }
