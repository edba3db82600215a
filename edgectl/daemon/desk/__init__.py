"""Where events and commands arrive, are judged and kept, and put their ceilings."""
