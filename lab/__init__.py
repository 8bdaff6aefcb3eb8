"""Fly's private network on one Linux machine: DNS, Flycast, and Machines that sleep and wake."""
