"""The demo: what a team sees, from a fresh machine to a file that follows a label."""
