"""For Python tests: the pytest plugin, the harness, and the redirection of httpx clients."""
