"""Looking at a running system from outside: does it work end to end, and how well."""
