"""Read what a nameserver sent: a message, then its outcome, records and TTL.

Rules
- A TXT record without a string holds nothing and counts as no record. RFC 1035 §3.3.14 wants at least one string, and
  dnspython refuses the record, but an empty list may come in this form (docs/fly.md, "DNS").
- Only records of the name that was asked for count, or of what its aliases lead to (RFC 1034 §3.6.2); aliases in a
  circle are garbled.
"""

from __future__ import annotations

import dns.exception
import dns.message
import dns.rcode
import dns.rdtypes.ANY.TXT

from shell.answers import Outcome

_TXT_OF_THE_INTERNET = b"\x00\x10\x00\x01"  # type and class
_NO_BYTES = b"\x00\x00"  # RDLENGTH
_RCODES = {
    dns.rcode.NXDOMAIN: Outcome.NXDOMAIN,
    dns.rcode.SERVFAIL: Outcome.SERVFAIL,
    dns.rcode.REFUSED: Outcome.REFUSED,
}


def read_message(wire: bytes) -> dns.message.Message | None:
    """Return the message, whose `errors` tell what of it cannot be read; None when not even its head can."""
    try:
        message = dns.message.from_wire(wire, ignore_trailing=True, continue_on_error=True)
    except dns.exception.DNSException as error:
        _let_ctrl_c_out(error)
        return None
    for failure in message.errors:
        _let_ctrl_c_out(failure.exception)
    if _are_empty_texts(wire, [failure.offset for failure in message.errors]):
        message.errors = []
    return message


def _are_empty_texts(wire: bytes, offsets: list[int]) -> bool:
    """Tell whether an empty TXT record ends at each of the offsets; where a second error is, more than it is wrong."""
    heads = (wire[max(offset - 10, 0) : offset] for offset in offsets)
    empty = (head.startswith(_TXT_OF_THE_INTERNET) and head.endswith(_NO_BYTES) for head in heads)
    return len(set(offsets)) == len(offsets) and all(empty)


def _let_ctrl_c_out(error: Exception) -> None:
    """Raise a Ctrl-C that came while dnspython read a message: it wraps whatever happens then, even that."""
    if isinstance(error.__cause__, KeyboardInterrupt):
        raise KeyboardInterrupt from error


def read_answer(message: dns.message.Message) -> tuple[Outcome, tuple[str, ...], int | None]:
    """Return the outcome, the records as text and the shortest TTL of a DNS message."""
    if message.rcode() != dns.rcode.NOERROR:
        return _RCODES.get(message.rcode(), Outcome.REJECTED), (), None
    if not isinstance(message, dns.message.QueryMessage):
        return Outcome.GARBLED, (), None
    try:
        found = message.resolve_chaining()
    except dns.exception.DNSException:
        return Outcome.GARBLED, (), None
    if found.answer is None:
        return Outcome.NODATA, (), None
    return Outcome.OK, tuple(_text(record) for record in found.answer), found.minimum_ttl


def _text(record: object) -> str:
    """Return an address, or the strings of a TXT record as the one text they are."""
    if isinstance(record, dns.rdtypes.ANY.TXT.TXT):
        return b"".join(record.strings).decode("utf-8", "backslashreplace")
    return str(record)
