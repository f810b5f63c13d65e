"""Measures falmock beside a bare Starlette application and aimock: `make bench`."""
