"""Our answers beside those of Kubernetes' own code, over random clusters: see ``python -m tests.authorizer --help``."""
