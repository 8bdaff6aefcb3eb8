"""The hostile app: everything that a program has been known to try to get out of a container, with what it reached."""
