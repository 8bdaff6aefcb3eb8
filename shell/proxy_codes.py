"""The codes that Fly Proxy writes into an app's log, such as [PM05]: what happened, and what to do.

Source: docs/fly.md, "Proxy". The meanings are Fly's, the words and most of the advice are ours.
"""

from __future__ import annotations

_FLY_S = "Nothing of yours is wrong: try again, and look at Fly's status page when it stays."
_BIND = "Let the app listen on internal_port, on one dual-stack [::] or on 0.0.0.0, never on 127.0.0.1 alone."
_APP_LOG = "Look in the app's log at that moment: `fly logs -a APP`."
_LOAD = "Look at processor, memory and connections of the app; raise the limits in concurrency, or add Machines."
_TLS = "Over Flycast use plain http:// or raw TCP, which needs no certificate; otherwise see `fly certs list -a APP`."
_REPLAY = "Correct the fly-replay answer that the app gives."

CODES: dict[str, tuple[str, str]] = {
    "PP01": ("Fly Proxy could not set an option of a TCP socket.", _FLY_S),
    "PU01": (
        "The app is said to speak HTTP/2 (h2_backend), and its handshake failed.",
        "Take h2_backend out of fly.toml, or let the app speak HTTP/2 without TLS.",
    ),
    "PU02": (
        "A request reached the Machine and could not be completed.",
        f"The app closed the connection, or died, before its answer was complete. {_APP_LOG}",
    ),
    "PU03": ("The host on which the Machine runs cannot be reached.", _FLY_S),
    "PU04": (
        "Fly Proxy could not build the request for the app.",
        "Look at what the client sends, header lines above all.",
    ),
    "PC01": (
        "The Machine refused the connection to a port: nothing listens there.",
        f"{_BIND} `flycast-probe doctor APP` tells which.",
    ),
    "PC02": ("The Machine refused the connection.", f"{_BIND} `flycast-probe doctor APP` tells which."),
    "PC03": ("The app reset the connection.", _APP_LOG),
    "PC04": ("The app aborted the connection.", _APP_LOG),
    "PC05": (
        "The Machine did not accept the connection in time.",
        f"The app is starting, overloaded or stuck. {_LOAD}",
    ),
    "PC06": ("The connection to the Machine failed for a reason that Fly Proxy does not know.", _APP_LOG),
    "PC07": (
        "Fly Proxy tried to connect to the Machine too many times.",
        f"{_BIND} `flycast-probe doctor APP` tells which.",
    ),
    "PC08": ("Fly Proxy could not set the time limit of a connection.", _FLY_S),
    "PT01": (
        "Clients of one range of addresses began too many TLS handshakes.",
        "Let those clients keep their connections.",
    ),
    "PT02": ("Clients began too many TLS handshakes for one name.", "Let the clients keep their connections."),
    "PT03": ("A client gave its TLS handshake up.", "Look at the client's time limit."),
    "PT04": ("A TLS handshake failed.", "Look at the TLS versions and ciphers of the client, and at tls_options."),
    "PT05": ("There is no certificate for the name that the client asked for.", _TLS),
    "PT06": ("There is no certificate for the connection.", _TLS),
    "PT07": ("The connection broke during the TLS handshake.", "Look at the client and its network."),
    "PT08": ("The client took too long over its TLS handshake.", "Look at the client and its network."),
    "PT09": ("Fly Proxy failed inside TLS.", _FLY_S),
    "PM01": ("The Machines API answered a start or stop with an error.", "The text behind the code is its reason."),
    "PM02": ("Fly failed to start a stopped Machine.", _FLY_S),
    "PM03": ("Starting a stopped Machine took too long.", "Try again; a smaller image starts sooner."),
    "PM04": ("Fly could not read its own request to start a Machine.", _FLY_S),
    "PM05": (
        "Fly Proxy could not connect to the Machine, which may have been woken for this request.",
        f"{_BIND} It must listen within some 8 s of its start: `flycast-probe wake APP` tells how long it takes.",
    ),
    "PM06": ("Fly Proxy asked for a Machine without the name of its app.", _FLY_S),
    "PM07": (
        "Fly Proxy could not start or stop the Machine.",
        "The text behind the code is the reason; see `fly machine status ID -a APP`.",
    ),
    "PM08": (
        "The Machine cannot be started from its state, such as stopping or destroyed.",
        "Wait until it has stopped; see `fly machine list -a APP`.",
    ),
    "PM09": ("Fly Proxy does not know the Machine's state.", _FLY_S),
    "PM10": ("Fly gave up the start of a Machine.", _FLY_S),
    "PM11": (
        "The Machine has stopped within the last minutes, so another one is asked.",
        "None: Fly Proxy sends the request on.",
    ),
    "PA01": (
        "The request is larger than 10 MB, so it can be neither replayed nor tried again.",
        "Answer large uploads on the Machine that gets them.",
    ),
    "PA02": ("The request was replayed more than 10 times.", f"Two Machines may send it to each other. {_REPLAY}"),
    "PA03": ("The app gave a fly-replay answer that Fly Proxy cannot read.", _REPLAY),
    "PA04": ("The app replayed a request to an app that does not exist.", _REPLAY),
    "PA05": ("The app replayed a request to an app of another organisation.", _REPLAY),
    "PE01": ("Fly does not find the app that replayed the request.", _FLY_S),
    "PE02": ("Fly does not find the organisation of the app that replayed the request.", _FLY_S),
    "PR01": (
        "No healthy Machine is there for the request; seen most with raw TCP.",
        "See `fly status -a APP` and its checks; `flycast-probe doctor APP` looks for the cause.",
    ),
    "PR02": ("The Machine that was chosen is gone.", "Seen while a deploy replaces Machines: try again."),
    "PR03": (
        "No Machine could be found for the request, after many tries.",
        "The code at the end of the line is the last cause: explain that one.",
    ),
    "PR04": (
        "No Machine could be found for the request, after many tries.",
        "See `fly status -a APP`; every Machine may be at its hard_limit, or fail its checks.",
    ),
    "PR05": (
        "A file of [[statics]] could not be had from its Tigris bucket.",
        "Look at tigris_bucket in fly.toml and at the bucket.",
    ),
    "PL01": ("Every Machine had as many connections as its limit allows.", _LOAD),
    "PL02": ("Every Machine had as many requests as its limit allows.", _LOAD),
}


def page_of(code: str) -> str:
    """Return what a person needs to know of one code, as Markdown."""
    what, advice = CODES[code]
    return f"## {code}\n\nWhat: {what}\n\nFix: {advice}\n"
