"""The RBAC audit: what it reads, what it finds, and what it says of that."""
