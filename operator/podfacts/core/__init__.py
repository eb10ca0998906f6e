"""Plain data in, plain data out: what a pod gets, and why. No client, no kopf, no clock, no logging, no I/O."""
