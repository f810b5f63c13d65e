"""What happened: journal, ledger, client check, HTTP archive, and the masking of secrets."""
