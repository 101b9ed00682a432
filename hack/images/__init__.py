"""Builds Goldpool's container images into one archive that `ctr images import` reads; `python3 -m hack.images`.

Needs only the standard library of Python 3.11, and Debian's buildah and mmdebstrap or a docker engine.
"""
