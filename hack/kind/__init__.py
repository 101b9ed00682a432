"""The development cluster by kind, for people who have Docker: `make cluster-up CLUSTER=kind`.

The same nodes, labels, pools and settings as hack.cluster gives, as far as kind has them. Standard library only.
"""
