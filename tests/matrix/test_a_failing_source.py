"""The operator dies after each write of a copy's path whose first fetch fails: another one follows, and publishes once."""

from tests.e2e.builders import a_pool, a_template
from tests.e2e.lives import Lives
from tests.e2e.server import Image
from tests.e2e.site import Site
from tests.matrix.canonical import State, settled, state
from tests.matrix.deaths import every_write
from tests.matrix.ending import PATIENCE, NewSite, each_operation_once, ended
from tests.servers.misbehaving import Body, Exchange, status

NODE = "node-1"
ATTEMPTS = 3
"""That one Job makes by itself."""


def test_a_copy_whose_source_fails_first(lives: Lives, new_site: NewSite, boot: Image) -> None:
    lives.begin(None)
    base = new_site()
    golden = base.name("golden")
    base.pools.append(golden)
    base.api.create(a_pool(golden, golden=True, hosts={"kubernetes.io/hostname": NODE}))
    base.ready("StoragePool", golden, timeout=PATIENCE)

    def run(expected: State | None) -> State:
        site = new_site()
        template = failing_first(site, boot, golden)
        site.ready("Template", template, timeout=PATIENCE)
        made = settled(lambda: state(site, NODE, golden), expected, PATIENCE)
        asked = site.images.gets_of(f"/{template}")
        ended(site)
        each_operation_once(site, golden)
        assert asked == {NODE: ATTEMPTS + 1}, "one Job failed, one published"
        return made

    every_write(lives, "a source that fails first", run)
    lives.begin(None)
    ended(base)


def failing_first(site: Site, image: Image, golden: str) -> str:
    """A template whose source refuses the first Job, and only that."""
    name = site.name("boot")
    path = f"/{name}"
    good, busy = Body(image.content, etag='"boot"'), status(503)

    def answer(exchange: Exchange) -> None:
        fetches = sum(site.images.gets_of(path).values())
        looks = exchange.command == "HEAD" or "Range" in exchange.headers
        (good if looks or fetches > ATTEMPTS else busy)(exchange)

    url = site.images.answer(path, answer)
    site.templates.append(name)
    site.api.create(a_template(name, url, checksum=image.checksum, prepare=[golden]))
    return name
