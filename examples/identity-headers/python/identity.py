"""Doorward's identity headers, read. Python 3.9 or later, standard library only: copy this file.

`headers` is what a server has of a request: anything with `get_all(name)`, as http.server, or `getlist` of other frameworks
by a one-line adapter. Every function refuses (`ValueError`) what Doorward does not write, and answers None or [] for an absent
header.
"""

import base64
import json
import re
import urllib.parse


def _fields(headers, name):
    return [value.strip(" \t") for value in headers.get_all(name) or []]


def _field(headers, name):
    fields = _fields(headers, name)
    if len(fields) > 1:
        raise ValueError(f"{name}: expected one field, but found {len(fields)}")
    return fields[0] if fields else None


def _percent_decode(name, value):
    # Doorward encodes whatever is not visible ASCII or an inner space, so nothing else can be there.
    if not re.fullmatch(r"(?:[\x20-\x24\x26-\x7e]|%[0-9A-F]{2})+", value):
        raise ValueError(f"{name}: expected percent-encoded text")
    return urllib.parse.unquote(value, encoding="utf-8", errors="strict")


def _base64url(name, value):
    if not re.fullmatch(r"[A-Za-z0-9_-]+", value):
        raise ValueError(f"{name}: expected base64url")
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode("utf-8")


def text(headers, name):
    """One string, number or boolean, as text."""
    value = _field(headers, name)
    if value is None:
        return None
    # A comma inside one value is encoded. A plain one stands between two: the claim was a list.
    if "," in value:
        raise ValueError(f"{name}: expected one value, but found a list")
    return _percent_decode(name, value)


def integer(headers, name):
    """A whole number, of any size."""
    value = text(headers, name)
    if value is None:
        return None
    if not re.fullmatch(r"-?[0-9]+", value):
        raise ValueError(f"{name}: expected a whole number")
    return int(value)


def items(headers, name, separator=","):
    """A list: `list: comma`, `list: repeat` (fields that may have been joined by commas on the way), or `list: space` with " ".

    Split first, decode then: an item named "a,b" is `a%2Cb` here, and must not become two.
    """
    parts = [part for field in _fields(headers, name) for part in field.split(separator)]
    return [_percent_decode(name, part.strip(" \t")) for part in parts]


def json_value(headers, name):
    """`list: json`: any JSON value."""
    value = _field(headers, name)
    return None if value is None else json.loads(value)


def base64url_text(headers, name):
    """`encoding: base64url`: one text."""
    value = _field(headers, name)
    return None if value is None else _base64url(name, value)


def payload(headers, name):
    """`payload_header`: the token's whole payload, as the JSON text that was signed."""
    return base64url_text(headers, name)
