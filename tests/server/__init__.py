"""The admission server, spoken to over real sockets."""
