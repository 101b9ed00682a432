"""Writes what is derived from the models and the RBAC table; `python -m hack.generate`, `--check` fails on drift."""
