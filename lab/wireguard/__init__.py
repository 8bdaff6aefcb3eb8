"""WireGuard into the lab: gateways, peers, and a laptop on the other side of the internet."""
