"""Podfacts tells a pod what it needs to know, without handing it credentials."""

__version__ = "0.1.0"
