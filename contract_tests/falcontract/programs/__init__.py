"""The programs of the suite, one module for each topic."""
