"""Journal, ledger, client check (lint), HTTP archive, and the masking of secrets."""
