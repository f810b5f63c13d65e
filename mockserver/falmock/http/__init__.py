"""The wire: thin. Parse, call the emulator, shape the reply; one module for each fal host."""
