"""Which Machines are up, again and again: what changed (changes), the looking (run), what is shown (lines, live)."""
