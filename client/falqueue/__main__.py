"""`python -m falqueue`."""

from falqueue._cli import main

if __name__ == "__main__":
    main()
