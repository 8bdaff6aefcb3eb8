"""Every target by its name."""

from tests.fuzz.targets import (
    callers,
    control,
    dockerfile,
    fly_replay,
    flytoml,
    http_reply,
    image,
    ips,
    machine_api,
    nameserver,
    peer_file,
    peers,
    preface,
    proxy_request,
    proxy_response,
    resolver,
    service_request,
    suspension,
    websocket,
)

_OF_THE_SERVICE = (preface, callers, service_request, suspension, peers)
_OF_THE_LAB = (
    nameserver,
    proxy_request,
    proxy_response,
    fly_replay,
    websocket,
    machine_api,
    control,
    dockerfile,
    image,
)
_OF_THE_PROBE = (http_reply, resolver, flytoml, ips, peer_file)

TARGETS = {module.TARGET.name: module.TARGET for module in (*_OF_THE_SERVICE, *_OF_THE_LAB, *_OF_THE_PROBE)}
