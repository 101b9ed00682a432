import pytest

from goldpool.kube.selectors import matches_labels


@pytest.mark.parametrize(
    ("selector", "labels", "expected"),
    [
        ("", {}, True),
        ("a=1", {"a": "1"}, True),
        ("a==1", {"a": "1"}, True),
        ("a=1", {"a": "2"}, False),
        ("a=1", {}, False),
        ("a!=1", {"a": "2"}, True),
        ("a!=1", {}, True),  # as the server: absent is not equal
        ("a!=1", {"a": "1"}, False),
        ("a", {"a": ""}, True),
        ("a", {}, False),
        ("!a", {}, True),
        ("!a", {"a": "1"}, False),
        ("a in (1, 2)", {"a": "2"}, True),
        ("a in (1,2)", {"a": "3"}, False),
        ("a notin (1,2)", {"a": "3"}, True),
        ("a notin (1,2)", {}, True),
        ("a=1,b in (x,y),!c", {"a": "1", "b": "y"}, True),
        ("a=1,b in (x,y),!c", {"a": "1", "b": "y", "c": ""}, False),
        ("goldpool.io/kind=vm", {"goldpool.io/kind": "vm"}, True),
    ],
)
def test_a_label_selector_means_what_the_server_means(
    selector: str, labels: dict[str, str], expected: bool
) -> None:
    assert matches_labels(selector)({"metadata": {"labels": labels}}) is expected


def test_nonsense_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="not a label selector"):
        matches_labels("a within (1)")
