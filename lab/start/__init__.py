"""How a Machine starts: what it sees, what it may do, and the processes that bring it up."""
