"""The controller: one replica, elected by a Lease, keeps what the API server has to know of us."""
