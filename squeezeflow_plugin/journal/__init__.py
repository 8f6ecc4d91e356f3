"""Received trades on disk before anything else derives from them."""
