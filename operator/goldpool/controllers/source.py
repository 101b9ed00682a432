"""A template's source as the host that fetches it is told."""

import re

from goldpool.api.template import METALINK_URL_PATTERN, Template
from goldpool.contracts.source import CA_FILE, Source


def source_of(template: Template, host_location: str = "") -> Source:
    """``host_location``: the value of the executing host's label goldpool.io/location; empty when it has none."""
    source = template.spec.source
    bundle = source.ca_bundle_ref
    return Source(
        urls=(source.url,),
        metalink=is_metalink(source.url) if source.metalink is None else source.metalink,
        file=source.file or "",
        location=host_location,
        secret=source.secret_ref.name if source.secret_ref else "",
        ca_bundle=bundle.name if bundle else "",
        ca_key=bundle.key if bundle else CA_FILE,
    )


def is_metalink(url: str) -> bool:
    """What the URL's path says where spec.source.metalink says nothing."""
    return re.match(METALINK_URL_PATTERN, url) is not None
