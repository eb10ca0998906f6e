"""The reports of the audit, checked against what reads them."""
