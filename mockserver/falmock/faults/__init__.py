"""Faults: the vocabulary, rules that choose requests and calls, and effects."""
