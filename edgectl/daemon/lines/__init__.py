"""Talks with the devices: the owner of each link, what is asked next, and what is known from it."""
