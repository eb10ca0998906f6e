"""A real Kubernetes for the tests and the demo, in a network of its own on one machine.

Standard library only: it runs before a virtual environment has anything in it.
"""

from tests.cluster.cluster import Cluster
from tests.cluster.errors import ClusterError

__all__ = ["Cluster", "ClusterError"]
