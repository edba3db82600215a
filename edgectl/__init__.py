"""Charging controller for depots of electric buses, vans and trucks."""

__version__ = "0.1.0"
