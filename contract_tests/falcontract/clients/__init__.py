"""Client libraries that repeat a program beside the wire."""
