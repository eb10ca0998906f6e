"""What the image is made of, said so that a scanner can read it, and asked after known vulnerabilities."""
