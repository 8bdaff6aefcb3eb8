"""What the raw port says where RAW names no handler of your own."""

from __future__ import annotations

from private_svc.raw import Words

HELLO = Words(b"hello\n")
