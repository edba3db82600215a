"""Devices as data, and the pure logic of talking to them."""
