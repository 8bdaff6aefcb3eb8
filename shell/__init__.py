"""The probe: what the private network's DNS says, and how long a wake takes."""

__version__ = "0.1.0"
