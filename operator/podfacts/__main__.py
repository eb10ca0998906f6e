"""``python -m podfacts`` is ``podfacts``."""

from podfacts.cli import main

main()
