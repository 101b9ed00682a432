"""What the kubelet asks a VM pod. Imports nothing, so that the pod can listen before it has loaded the rest."""

from typing import Final

HEALTH_PORT: Final = 8378
"""``GET /ready`` answers 200 while QMP says that the guest runs, else 503 with the reason as text, but waits a moment for
the guest's first instruction; ``GET /live`` 200 while the runtime itself turns."""

READY_TIMEOUT_SECONDS: Final = 2
"""How long the kubelet waits for ``/ready``; ``/ready`` answers before."""
