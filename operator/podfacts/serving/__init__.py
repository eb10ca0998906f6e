"""What both servers stand on: connections that cannot wait for ever, probes, and one line of log for one event."""
