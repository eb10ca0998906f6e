"""A live cluster as the command line asks it: as whoever types, by the kubeconfig of whoever types."""
