"""HTTP: parses calls, calls the emulator and writes the responses. Each fal host has a module."""
