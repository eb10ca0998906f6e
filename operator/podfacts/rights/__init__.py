"""Rights as Kubernetes' RBAC has them: requests, rules and grants as plain data. Asks nobody and reads no file."""
