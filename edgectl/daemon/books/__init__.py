"""What happened, kept: sessions, quarter hours, the ledger of promised and delivered."""
