"""What becomes of everybody when something goes wrong: the catalogue is docs/faults.md."""
