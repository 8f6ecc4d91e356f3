"""Past trades by REST, exchange by exchange: every module's ``PAST`` names its classes."""
