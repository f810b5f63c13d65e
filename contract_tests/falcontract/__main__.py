"""`python -m falcontract`."""

from falcontract.cli import main

if __name__ == "__main__":
    main()
