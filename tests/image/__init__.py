"""The product's image, built for real: the Dockerfile of this repository on bases that this machine makes itself."""
