"""Every target by its name.

The lab's are in the lab's own tests: who deletes the lab keeps the rest.
"""

from importlib import import_module
from importlib.util import find_spec

from tests.fuzz.targets import (
    callers,
    flytoml,
    http_reply,
    ips,
    peer_file,
    peers,
    preface,
    resolver,
    service_request,
    suspension,
)

_OF_THE_SERVICE = (preface.TARGET, callers.TARGET, service_request.TARGET, suspension.TARGET, peers.TARGET)
_OF_THE_LAB = import_module("tests.lab.fuzz").TARGETS if find_spec("tests.lab") else ()
_OF_THE_PROBE = (http_reply.TARGET, resolver.TARGET, flytoml.TARGET, ips.TARGET, peer_file.TARGET)

TARGETS = {target.name: target for target in (*_OF_THE_SERVICE, *_OF_THE_LAB, *_OF_THE_PROBE)}
