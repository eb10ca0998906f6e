"""The HTML report, opened in a real browser."""
