"""Rows become window sums, noise scales and z values. Pure."""
