"""Tests against a real API server, with real containers where a node can be had."""
