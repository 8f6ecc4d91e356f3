"""Bars at rest."""
