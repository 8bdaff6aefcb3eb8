"""System calls that Python does not offer, each in the words of its manual page."""
