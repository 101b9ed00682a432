"""The development cluster: a real Kubernetes of three worker nodes on one Linux machine, without Docker
and without an image registry. Run as `python3 -m hack.cluster`; standard library only."""
