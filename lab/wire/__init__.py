"""The cables of the lab's networks; `Wiring.lay` makes them."""

from lab.wire.wiring import Wiring

__all__ = ["Wiring"]
