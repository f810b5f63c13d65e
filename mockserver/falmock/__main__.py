"""`python -m falmock`."""

from falmock.cli import main

main()
