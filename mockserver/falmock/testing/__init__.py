"""Tools for Python tests: the pytest plugin, its harness, and transports that lead httpx to an emulator."""
