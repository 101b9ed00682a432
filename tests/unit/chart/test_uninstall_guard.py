"""The hook that runs before helm uninstall, as Helm renders it."""

from goldpool.api.crds import KINDS
from goldpool.departure import REFUSED
from tests.unit.chart.helm import NAMESPACE, Document, template, the

NAME = "goldpool-volumes-exist"


def guard(values: Document | None = None) -> Document:
    job: Document = the(template(values), "Job", NAME)
    return job


def test_it_runs_before_anything_goes_and_stays_to_be_read_when_it_refused() -> None:
    annotations = guard()["metadata"]["annotations"]
    assert annotations["helm.sh/hook"] == "pre-delete"
    assert "hook-failed" not in annotations["helm.sh/hook-delete-policy"]
    assert annotations["helm.sh/hook-output-log-policy"] == "hook-failed"


def test_a_refusal_is_not_tried_again_and_anything_else_is() -> None:
    [rule] = guard()["spec"]["podFailurePolicy"]["rules"]
    assert (rule["action"], rule["onExitCodes"]["values"]) == ("FailJob", [REFUSED])
    assert guard()["spec"]["backoffLimit"] > 0


def test_it_may_list_goldpools_kinds_and_nothing_else() -> None:
    documents = template()
    [rule] = the(documents, "ClusterRole", NAME)["rules"]
    assert rule == {
        "apiGroups": ["goldpool.io"], "resources": [kind.crd.plural for kind in KINDS], "verbs": ["list"],
    }  # fmt: skip
    assert the(documents, "ClusterRoleBinding", NAME)["subjects"] == [
        {"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}
    ]
    bound = [
        d for d in documents if d["kind"].endswith("RoleBinding") for s in d["subjects"] if s["name"] == NAME
    ]
    assert len(bound) == 1


def test_it_knows_what_it_must_name() -> None:
    [container] = guard({"crds": {"keep": False}})["spec"]["template"]["spec"]["containers"]
    assert {entry["name"]: entry["value"] for entry in container["env"]} == {
        "RELEASE": "goldpool", "NAMESPACE": NAMESPACE, "REVISION": "1", "CRDS_KEPT": "false",
    }  # fmt: skip


def test_crds_that_are_not_the_charts_stay() -> None:
    for values, kept in ({}, "true"), ({"crds": {"enabled": False, "keep": False}}, "true"):
        [container] = guard(values)["spec"]["template"]["spec"]["containers"]
        assert {"name": "CRDS_KEPT", "value": kept} in container["env"]


def test_it_can_be_left_out() -> None:
    left = template({"uninstallGuard": {"enabled": False}})
    assert not [d for d in left if NAME in d["metadata"]["name"]]
