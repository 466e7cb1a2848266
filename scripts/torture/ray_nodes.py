"""A Ray cluster of processes on the loopback: prints its address, then does what it is told.

``kill`` ends one node at once, with its workers; ``add`` puts another one in its place.
"""

from __future__ import annotations

import sys

from ray.cluster_utils import Cluster

SIZE = {"object_store_memory": 100_000_000}

if __name__ == "__main__":
    cluster = Cluster(True, head_node_args={"num_cpus": 0, "include_dashboard": False, **SIZE})
    nodes = [cluster.add_node(num_cpus=1, **SIZE) for _ in range(2)]
    sys.stdout.write(f"{cluster.address}\n")
    sys.stdout.flush()
    for line in sys.stdin:
        if line.strip() == "kill":
            cluster.remove_node(nodes.pop(), allow_graceful=False)
        else:
            nodes.append(cluster.add_node(num_cpus=1, **SIZE))
        sys.stdout.write(line)
        sys.stdout.flush()
    cluster.shutdown()
