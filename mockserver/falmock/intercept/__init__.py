"""Leads unchanged programs to an emulator: CA, TLS port, proxy, and environment variables."""
