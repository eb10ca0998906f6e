"""The tests: cases for the core, a real cluster, end-to-end runs and benchmarks."""
