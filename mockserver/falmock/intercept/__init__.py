"""Leads unchanged programs to an emulator: CA, proxy, environment variables, and where an emulator runs."""
