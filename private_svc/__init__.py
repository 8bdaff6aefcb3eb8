"""A private, admin-style service for Fly.io: HTTP and a raw TCP hello, on one dual-stack socket each."""

__version__ = "0.1.0"
