"""The control API, at `/control` on the emulator's own address."""
