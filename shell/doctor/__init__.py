"""The troubleshooting ladder: what was seen (probes) is judged (naming, reaching), rung by rung (ladder)."""
