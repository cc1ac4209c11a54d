"""How launchers that mpiexec (or srun with PMI) has started tell one another where they meet: through that.

So neither an address nor a secret need be given. The ranks do not see the connection: it is used up here.
"""

import json
import os
import secrets
import socket
from collections.abc import MutableMapping
from dataclasses import replace

from distrt.comm.environment import job_secret
from distrt.comm.machines.address import listening_place, network_place
from distrt.comm.mpi.meeting import PmiClient
from distrt.core.errors import RendezvousError
from launch.machines.meeting_place import MeetingError, MeetingPlace

__all__ = ["agree_on_place"]


def agree_on_place(place: MeetingPlace, variables: MutableMapping[str, str] = os.environ) -> MeetingPlace:
    """Return ``place`` with an address and a port of launcher 0's; the secret becomes ``DISTRT_JOB_SECRET``.

    Raises:
        MeetingError: the process manager does not answer, or not all launchers come.
    """
    assert place.node_rank is not None, "a process manager numbers what it starts"
    try:
        client = PmiClient(int(variables.pop("PMI_FD")), place.join_timeout_s)
        try:
            client.put(f"place-{place.node_rank}", network_place())
            client.fence()
            if place.node_rank == 0:
                places = [client.get(f"place-{other}") for other in range(place.max_nodes)]
                client.put("meeting", json.dumps(_choose(places)).encode())
            client.fence()
            chosen = json.loads(client.get("meeting"))
            client.finish()
        finally:
            client.close()
    except (OSError, ValueError, RendezvousError) as error:
        raise MeetingError(f"the process manager that started this does not help to meet: {error}") from error
    variables["DISTRT_JOB_SECRET"] = chosen["secret"]
    return replace(place, host=chosen["host"], port=chosen["port"])


def _choose(places: list[bytes]) -> dict[str, object]:
    """Choose where to serve, and a port that is free now: the store takes it in a moment."""
    _, addresses = listening_place(places)
    host = next((address for address in addresses if address != "127.0.0.1"), addresses[0])
    with socket.create_server((host, 0)) as probe:
        port = probe.getsockname()[1]
    return {"host": host, "port": port, "secret": (job_secret() or secrets.token_bytes(32)).hex()}
