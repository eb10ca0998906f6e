"""The controller's own parts, without a cluster."""
