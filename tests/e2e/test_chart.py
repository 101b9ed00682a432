"""The operator as the chart installs it."""

import pytest

from tests.e2e.deployment import scale
from tests.e2e.server import Image
from tests.e2e.site import Site


@pytest.mark.alone
def test_the_installed_operator_runs_a_machine_and_removes_it(
    site: Site, boot: Image, boot_line: str
) -> None:
    site.operator.stop()
    scale(site.api, 1)
    try:
        site.pools_on("node-1")
        template = site.template(boot)
        site.machine("vm", template=template)
        site.running("vm")
        site.says("vm", f"{boot_line} BOOTS 0001")
        site.close()
    finally:
        scale(site.api, 0)
        site.operator.start()
