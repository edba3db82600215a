"""What the region is told: samples and happenings, the outbox, the connection to the broker."""
