"""What a host is told of a template's source."""

from typing import Any

import pytest

from goldpool.api.template import Template
from goldpool.contracts.source import Source
from goldpool.controllers.source import source_of
from tests.unit.controllers.builders import a_template


def told(location: str = "", **source: Any) -> Source:
    return source_of(Template.read(a_template(spec={"source": source})), location)


@pytest.mark.parametrize(
    ("url", "metalink"),
    [
        ("https://h/debian.meta4", True),
        ("https://h/debian.metalink", True),
        ("https://h/a/DEBIAN.Meta4?signature=x#f", True),
        ("https://h/debian.METALINK#f", True),
        ("https://h/debian.qcow2", False),
        ("https://h/debian?file=debian.meta4", False),
        ("https://h/debian.qcow2#debian.meta4", False),
        ("https://h/meta4", False),
        ("https://h/debian.meta4/disk.qcow2", False),
    ],
)
def test_the_end_of_the_path_says_what_is_a_metalink(url: str, metalink: bool) -> None:
    assert told(url=url).metalink is metalink
    assert told(url=url, metalink=True).metalink is True
    assert told(url=url, metalink=False).metalink is False


def test_a_host_is_told_names_and_no_secrets() -> None:
    given = told(
        url="https://h/a", secretRef={"name": "login"}, caBundleRef={"name": "our-ca", "key": "root.pem"}
    )
    assert (given.secret, given.ca_bundle, given.ca_key) == ("login", "our-ca", "root.pem")
    assert told(url="https://h/a", caBundleRef={"name": "our-ca"}).ca_key == "ca.crt"
    assert (told(url="https://h/a").secret, told(url="https://h/a").ca_bundle) == ("", "")


def test_a_host_is_told_where_it_stands_and_which_file_is_meant() -> None:
    assert told("de", url="https://h/a.meta4", file="a.qcow2") == Source(
        urls=("https://h/a.meta4",), metalink=True, file="a.qcow2", location="de"
    )
