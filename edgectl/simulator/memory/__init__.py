"""The ports of the daemon in memory: lines, stores, outbox and broker of the virtual clock."""
