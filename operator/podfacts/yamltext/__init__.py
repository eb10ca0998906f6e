"""YAML as Kubernetes reads it, and as a person wrote it: meaning and places in the text, and edits that touch little."""
