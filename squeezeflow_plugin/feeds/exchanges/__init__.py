"""One module an exchange. A module that holds ``ADAPTER`` is found by the registry; none imports another."""
