"""The admission server: it answers reviews, and asks nobody anything."""
