"""The audit of roles and bindings: what is given, to whom, and what whoever has it can make of it. Pure."""
