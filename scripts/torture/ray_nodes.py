"""A Ray cluster of processes on the loopback: prints its address, then does what it is told.

``kill`` ends one node at once, with its workers; ``add`` puts another one in its place.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator

SIZE = {"object_store_memory": 100_000_000}
MOST_SECONDS = 600
# The user's own cluster and token are left alone.
SETTINGS = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "a" * 32,
    # Else Ray takes the outer address of this machine.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}


@contextlib.contextmanager
def nodes() -> Iterator[tuple[str, Callable[[str], None]]]:
    """Starts a head and two nodes in a process that has `SETTINGS` in its environment.

    Yields:
        The address, and a function that tells them a word.
    """
    process = subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    stdin, stdout = process.stdin, process.stdout
    if stdin is None or stdout is None:
        raise RuntimeError("no pipe to the cluster")

    def tell(word: str) -> None:
        stdin.write(f"{word}\n")
        stdin.flush()
        if stdout.readline() != f"{word}\n":
            raise RuntimeError(f"the cluster did not {word}")

    try:
        yield stdout.readline().strip(), tell
    finally:
        stdin.close()
        process.wait(MOST_SECONDS)


def serve() -> None:
    """Is the cluster, until stdin ends."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(True, head_node_args={"num_cpus": 0, "include_dashboard": False, **SIZE})
    own = [cluster.add_node(num_cpus=1, **SIZE) for _ in range(2)]
    sys.stdout.write(f"{cluster.address}\n")
    sys.stdout.flush()
    for line in sys.stdin:
        if line.strip() == "kill":
            cluster.remove_node(own.pop(), allow_graceful=False)
        else:
            own.append(cluster.add_node(num_cpus=1, **SIZE))
        sys.stdout.write(line)
        sys.stdout.flush()
    cluster.shutdown()


if __name__ == "__main__":
    serve()
