"""fal's protocol, pure: hosts, endpoint ids, calls, errors, validation."""
