"""What docs/security.md says that each of them cannot reach, tried on the real cluster."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.e2e.api import DATA_NAMESPACE, SYSTEM_NAMESPACE, Api, Obj
from tests.e2e.builders import a_data_volume, a_machine, a_pool, a_template
from tests.e2e.cli import goldpool
from tests.e2e.intruder import has_no_power, inside
from tests.e2e.server import Image
from tests.e2e.site import Site

NODE = "node-3"
OPERATOR = f"system:serviceaccount:{SYSTEM_NAMESPACE}:goldpool"

Say = Callable[..., str]


def kubectl(*words: str, stdin: Obj | None = None) -> subprocess.CompletedProcess[str]:
    text = yaml.safe_dump(stdin) if stdin else ""
    return subprocess.run(
        ["kubectl", *words], input=text, capture_output=True, text=True, check=False, timeout=300
    )


# --- a tenant


@pytest.fixture
def tenant(site: Site) -> Say:
    """Somebody bound to the cluster's own role ``edit`` in one namespace. Their answer from the server: what it says, or
    nothing when it agreed. Nothing is stored."""
    user = site.name("tenant")
    bound = kubectl(
        "-n", site.namespace, "create", "rolebinding", "tenant", "--clusterrole=edit", f"--user={user}"
    )
    assert not bound.returncode, bound.stderr

    def say(verb: str, *words: str, obj: Obj | None = None) -> str:
        files = ("-f", "-") if obj else ()
        done = kubectl(verb, *words, *files, "--dry-run=server", f"--as={user}", stdin=obj)
        return done.stderr if done.returncode else ""

    # Aggregated roles and bindings take the server a moment.
    own = a_data_volume("own", site.namespace)
    site.eventually(lambda: not say("create", obj=own), "a tenant may make volumes")
    return say


def test_a_tenant_makes_machines_of_their_own_namespace_and_nothing_of_power(site: Site, tenant: Say) -> None:
    own = a_machine("vm", site.namespace, template="any")
    assert tenant("create", obj=own) == ""
    for obj in (
        a_pool("mine", path="/srv/mine"),
        a_template("mine", "http://images.example/x"),
        a_machine("vm", "default", template="any"),
    ):
        assert "cannot create resource" in tenant("create", obj=obj)
    pod: Obj = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "mine", "namespace": DATA_NAMESPACE},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }  # fmt: skip
    assert "cannot create resource" in tenant("create", obj=pod)


def test_a_tenant_cannot_say_which_disk_a_volume_is(site: Site, tenant: Say) -> None:
    volume = a_data_volume("mine", site.namespace)
    for power in (
        {"storageID": "v-somebody", "placement": {"pool": "p", "host": NODE}},
        {"placement": {"pool": "p", "host": NODE, "volumeUID": "u"}},
    ):
        said = tenant("create", obj=volume | {"spec": volume["spec"] | power})
        assert "are set by the operator" in said


def test_a_tenant_cannot_name_a_path_of_a_host(site: Site, tenant: Say) -> None:
    volume, machine = a_data_volume("mine", site.namespace), a_machine("mine", site.namespace, template="t")
    for obj in (volume, machine):
        said = tenant("create", obj=obj | {"spec": obj["spec"] | {"hostPath": {"path": "/etc"}}})
        assert 'unknown field "spec.hostPath"' in said
    escape = a_machine("mine", site.namespace, volume="../../other/volumes/v-1")
    assert "spec.rootVolume.volumeRef.name: Invalid value" in tenant("create", obj=escape)


def test_a_tenant_has_no_rights_on_what_is_the_operators(site: Site, tenant: Say) -> None:
    user = site.name("tenant")
    assert allowed(user, "create", "volumes.goldpool.io", namespace=site.namespace)
    for words in (
        ("get", "pods", "-n", DATA_NAMESPACE),
        ("get", "secrets", "-n", DATA_NAMESPACE),
        ("create", "pods", "--subresource=exec", "-n", DATA_NAMESPACE),
        ("get", "pods", "--subresource=log", "-n", DATA_NAMESPACE),
        ("create", "jobs", "-n", DATA_NAMESPACE),
        ("create", "leases", "-n", DATA_NAMESPACE),
        ("patch", "parents.goldpool.io"),
        ("patch", "storagelocations.goldpool.io"),
        ("patch", "storagepools.goldpool.io"),
        ("patch", "templates.goldpool.io"),
        ("patch", "virtualmachines.goldpool.io", "--subresource=status"),
        ("patch", "volumes.goldpool.io", "--subresource=status"),
        ("create", "volumes.goldpool.io", "--subresource=binding"),
    ):
        assert not allowed(user, *words, namespace=site.namespace), words


def allowed(user: str, *words: str, namespace: str = "") -> bool:
    where = ("-n", namespace) if namespace and "-n" not in words else ()
    return kubectl("auth", "can-i", *words, *where, f"--as={user}").stdout.strip() == "yes"


# --- a compromised machine, a compromised worker


def test_who_holds_a_machines_pod_holds_its_disk_and_nothing_else(site: Site, boot: Image) -> None:
    site.pools_on(NODE)
    template = site.template(boot)
    for name in ("mine", "other"):
        site.machine(name, template=template)
    site.running("mine", "other")
    pod = site.pod_of("mine")
    assert pod is not None
    mine, other = (site.get("Volume", f"{name}-root")["spec"]["storageID"] for name in ("mine", "other"))
    parent = site.parents(template)[0]["metadata"]["name"]
    image = f"/parents/{parent}/disk.qcow2"
    found = inside(
        pod["metadata"]["name"], "machine",
        make=(f"/parents/{parent}/x", "/x", "/usr/x", f"/disks/{mine}/x"),
        write=(image, f"/disks/{mine}/disk.qcow2"),
        enter=(f"/disks/{other}", "/pools", "/srv", f"/disks/{mine}/../{other}", f"/parents/{parent}/../../templates"),
    )  # fmt: skip
    has_no_power(found)
    assert found.disks == sorted([f"/disks/{mine}", f"/parents/{parent}"])
    assert f"/parents/{parent}" in found.read_only
    assert found.made == {
        f"/parents/{parent}/x": "EROFS", "/x": "EROFS", "/usr/x": "EROFS", f"/disks/{mine}/x": "done",
    }  # fmt: skip
    assert found.written == {
        image: "EACCES",
        f"/disks/{mine}/disk.qcow2": "done",
    }  # its mode alone forbids it
    assert {*found.entered.values()} <= {"ENOENT", "EACCES"} or found.entered["/srv"] == "done"
    assert found.entered[f"/disks/{other}"] == "ENOENT"
    assert found.entered[f"/disks/{mine}/../{other}"] == "ENOENT"
    assert found.entered["/pools"] == "ENOENT"


def test_who_holds_a_storage_job_holds_its_pool_and_nothing_else(site: Site, boot: Image) -> None:
    golden, standard = site.pools_on(NODE)
    slow = Image(boot.content, pause=600)
    site.template(slow, stem="slow", prepare=[golden])
    pod = site.eventually(lambda: fetching(site), "a fetch runs")
    location = site.locations(golden)[NODE]["metadata"]["name"]
    other = site.locations(standard)[NODE]["metadata"]["name"]
    found = inside(
        pod, "worker",
        make=("/x", "/usr/x", f"/pools/{location}/tmp/x", f"/pools/{location}/../x"),
        enter=(f"/pools/{other}", "/disks", "/parents"),
    )  # fmt: skip
    has_no_power(found)
    assert found.disks == [f"/pools/{location}"]
    assert found.made == {
        "/x": "EROFS", "/usr/x": "EROFS", f"/pools/{location}/tmp/x": "done", f"/pools/{location}/../x": "EROFS",
    }  # fmt: skip
    assert {*found.entered.values()} == {"ENOENT"}
    kubectl("-n", DATA_NAMESPACE, "delete", "pod", pod, "--wait=false")


def fetching(site: Site) -> str:
    for pod in site.api.every("Pod", DATA_NAMESPACE, "goldpool.io/job=fetch"):
        states = [s.get("state", {}) for s in pod["status"].get("containerStatuses", ())]
        about = str(pod["spec"]["containers"])
        if site.token in about and any("running" in state for state in states):
            return str(pod["metadata"]["name"])
    return ""


# --- a template's author, a malicious image


def test_a_pool_outside_the_allowed_prefixes_gets_no_job(site: Site) -> None:
    for stem, path in (("etc", "/etc"), ("climb", "/srv/../etc"), ("prefix", "/srv"), ("like", "/srvx/pool")):
        manifest = a_pool(site.name(stem), path=path, require_mount=False)
        done = kubectl("create", "-f", "-", stdin=manifest)
        if done.returncode:
            assert "spec.backend.hostPath.path" in done.stderr
            continue
        site.pools.append(site.name(stem))
        stalled(site, "StoragePool", site.name(stem))
        assert "prefix" in site.condition("StoragePool", site.name(stem))["message"]
        assert site.locations(site.name(stem)) == {}
    assert site.jobs.of_pools(*(site.name(stem) for stem in ("etc", "climb", "prefix", "like"))) == []


def stalled(site: Site, kind: str, name: str) -> None:
    site.eventually(
        lambda: site.condition(kind, name, "Stalled").get("status") == "True", f"{name} is refused"
    )


# --- a compromised operator


@pytest.mark.parametrize(
    "words",
    [
        ("get", "secrets", "-A"),
        ("get", "secrets", "-n", SYSTEM_NAMESPACE),
        ("get", "secrets", "-n", DATA_NAMESPACE),
        ("create", "pods", "-n", SYSTEM_NAMESPACE),
        ("create", "pods", "-n", "default"),
        ("create", "pods", "--subresource=exec", "-n", DATA_NAMESPACE),
        ("create", "pods", "--subresource=ephemeralcontainers", "-n", DATA_NAMESPACE),
        ("create", "serviceaccounts", "--subresource=token", "-n", SYSTEM_NAMESPACE),
        ("create", "clusterrolebindings"),
        ("bind", "clusterroles"),
        ("escalate", "clusterroles"),
        ("impersonate", "users"),
        ("patch", "nodes"),
        ("delete", "virtualmachines.goldpool.io", "-A"),
        ("create", "storagepools.goldpool.io"),
        ("create", "templates.goldpool.io"),
        ("delete", "customresourcedefinitions"),
        ("*", "*"),
    ],
    ids=" ".join,
)
def test_the_operator_has_no_right_to(api: Api, words: tuple[str, ...]) -> None:
    assert not allowed(OPERATOR, *words)


def test_the_question_about_rights_can_be_answered_with_yes(api: Api) -> None:
    assert allowed(OPERATOR, "create", "pods", "-n", DATA_NAMESPACE)


# --- a console


def test_a_console_is_had_by_whom_the_right_was_given_and_for_that_machine(
    site: Site, linux_image: bytes, tmp_path: Path
) -> None:
    """As docs/security.md tells administrators to give it: by the pod's name, which is the machine's for good."""
    site.pools_on(NODE)
    template = site.template(Image(linux_image))
    for name in ("mine", "other"):
        site.machine(name, template=template, memory="192Mi", stop_seconds=40)
        site.says(name, "GUEST-MARKER boot-ok")
    kubeconfig = account(site, tmp_path)
    where = ("-n", site.namespace)
    said = goldpool("console", *where, "mine", status=1, kubeconfig=kubeconfig).stderr
    assert f"may not get and create pods/exec in namespace {DATA_NAMESPACE}" in said

    pod = site.status("VirtualMachine", "mine")["podRef"]["name"]
    role = site.name("console")
    made = kubectl("-n", DATA_NAMESPACE, "create", "role", role, "--verb=get,create",
                   "--resource=pods/exec,pods/log", f"--resource-name={pod}")  # fmt: skip
    assert not made.returncode, made.stderr
    bound = kubectl("-n", DATA_NAMESPACE, "create", "rolebinding", role, f"--role={role}",
                    f"--serviceaccount={site.namespace}:console")  # fmt: skip
    assert not bound.returncode, bound.stderr
    try:
        site.eventually(
            lambda: allowed(
                f"system:serviceaccount:{site.namespace}:console",
                "get", f"pods/{pod}", "--subresource=exec", "-n", DATA_NAMESPACE,
            ),
            "the right is there",
        )  # fmt: skip
        log = goldpool("console", *where, "mine", "--log", kubeconfig=kubeconfig).stdout
        assert "GUEST-MARKER boot-ok" in log
        for words in (("other",), ("other", "--log")):
            goldpool("console", *where, *words, status=1, kubeconfig=kubeconfig)
        assert "GUEST-OFF key" in goldpool("console", *where, "mine", stdin="p", kubeconfig=kubeconfig).stdout
    finally:
        kubectl("-n", DATA_NAMESPACE, "delete", "role,rolebinding", role)


def account(site: Site, directory: Path) -> Path:
    """The kubeconfig of a service account that may edit the test's namespace."""
    for words in (
        ("create", "serviceaccount", "console"),
        (
            "create",
            "rolebinding",
            "console",
            "--clusterrole=edit",
            f"--serviceaccount={site.namespace}:console",
        ),
    ):
        made = kubectl("-n", site.namespace, *words)
        assert not made.returncode, made.stderr
    token = kubectl("-n", site.namespace, "create", "token", "console").stdout.strip()
    config = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    path = directory / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path
