"""Goldpool: virtual machines on Kubernetes that boot from shared golden images."""

__version__ = "0.1.0"
