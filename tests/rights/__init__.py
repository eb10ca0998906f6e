"""Requests, rules and grants, compared with what a real API server says of them."""
