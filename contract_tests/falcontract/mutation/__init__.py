"""Mutants of the emulator, and the runner that shows which properties kill them."""
