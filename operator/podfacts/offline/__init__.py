"""The command line's way to the core: manifests and profiles from files."""
