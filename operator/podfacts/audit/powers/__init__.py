"""What the rules of a role make of whoever has them: rows of what is dangerous, and the evidence for each."""
