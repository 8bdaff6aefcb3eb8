"""A container image as a Machine's file system: found, read, unpacked, entered."""
