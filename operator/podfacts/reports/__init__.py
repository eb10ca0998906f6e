"""What an audit came to, as text: for a terminal, a program, a code host, a browser, a cluster."""
