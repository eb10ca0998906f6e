"""The ways up: who can become whom, step by step, and the shortest chain to what must not be reached."""
