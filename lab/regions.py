"""How far Fly's regions are from each other.  Pure.

Rules:

- A region is three letters, as `fly platform regions` lists them: the airport code of its city.  Those Fly has
  closed are here too, because fly.toml files still name them.
- The distance is the great circle between the cities (haversine, a sphere of 6371 km).
  Fly measures round trips; distance is our stand-in (docs/fly.md, "Proxy").
- A region that is not in the table is as far as can be from every other, and 0 km from itself.
"""

from __future__ import annotations

from functools import lru_cache
from math import asin, cos, pi, radians, sin, sqrt
from types import MappingProxyType
from typing import Final

EARTH_RADIUS_KM: Final = 6371.0
FARTHEST_KM: Final = pi * EARTH_RADIUS_KM

PLACES: Final = MappingProxyType(  # latitude north, longitude east, in degrees
    {
        "ams": (52.4, 4.9),
        "arn": (59.3, 18.1),
        "atl": (33.7, -84.4),
        "bog": (4.7, -74.1),
        "bom": (19.1, 72.9),
        "bos": (42.4, -71.1),
        "cdg": (48.9, 2.4),
        "den": (39.7, -105.0),
        "dfw": (32.8, -96.8),
        "ewr": (40.8, -74.1),
        "eze": (-34.8, -58.5),
        "fra": (50.1, 8.7),
        "gdl": (20.7, -103.3),
        "gig": (-22.9, -43.2),
        "gru": (-23.6, -46.6),
        "hkg": (22.3, 114.2),
        "iad": (39.0, -77.5),
        "jnb": (-26.2, 28.0),
        "lax": (34.1, -118.2),
        "lhr": (51.5, -0.1),
        "mad": (40.4, -3.7),
        "mia": (25.8, -80.2),
        "nrt": (35.7, 139.7),
        "ord": (41.9, -87.6),
        "otp": (44.4, 26.1),
        "phx": (33.4, -112.1),
        "qro": (20.6, -100.4),
        "scl": (-33.4, -70.7),
        "sea": (47.6, -122.3),
        "sin": (1.4, 103.8),
        "sjc": (37.3, -121.9),
        "syd": (-33.9, 151.2),
        "waw": (52.2, 21.0),
        "yul": (45.5, -73.6),
        "yyz": (43.7, -79.4),
    }
)


@lru_cache(maxsize=4096)
def distance_km(one: str, other: str) -> float:
    """Return the distance between two regions in kilometres."""
    if one == other:
        return 0.0
    if one not in PLACES or other not in PLACES:
        return FARTHEST_KM
    (north, east), (other_north, other_east) = (map(radians, PLACES[region]) for region in (one, other))
    half = sin((other_north - north) / 2) ** 2 + cos(north) * cos(other_north) * sin((other_east - east) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * asin(sqrt(min(1.0, half)))
