"""`python -m falmock`."""

from falmock.cli.main import main

main()
