"""The lab's Fly Proxy: accepts on a Flycast address, wakes a Machine, carries requests and bytes to it."""
