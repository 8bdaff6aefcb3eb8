"""The raw TCP port: one connection (hear), both ways to the app (ways), what is shown of it (report, record)."""
