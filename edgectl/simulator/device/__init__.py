"""Simulated chargers and meters, built from their manuals, and the servers that they answer on."""
