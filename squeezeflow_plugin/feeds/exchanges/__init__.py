"""One pure adapter an exchange; the registry finds them by itself."""
