"""The certificates and the rotation of the CA, without a cluster."""
