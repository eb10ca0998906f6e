"""What a YAML scalar means to Kubernetes, which is neither YAML 1.1 nor 1.2, and not what PyYAML makes of it.

kubectl and the API server read YAML through ``sigs.k8s.io/yaml``, that is ``go.yaml.in/yaml/v2`` and then JSON. The
rules below are those of its ``resolve.go`` (v2.4.3): ``yes``, ``on`` and even ``y`` are booleans, ``0644`` is 420,
``1:30`` is a string (no base 60), so is a timestamp, and ``1e3`` is the number 1000.
"""

import base64
import binascii
import re
import struct
from decimal import Decimal

Scalar = str | int | float | bool | None

LONG = "tag:yaml.org,2002:"
BOOL, INT, FLOAT, NULL, STR, TIMESTAMP, BINARY, MERGE = (
    LONG + each for each in ("bool", "int", "float", "null", "str", "timestamp", "binary", "merge")
)
# Any other tag is ignored, and what stands under it is text.
RESOLVABLE = frozenset({STR, BOOL, INT, FLOAT, NULL, TIMESTAMP})

WORDS: dict[str, Scalar] = {
    **dict.fromkeys(["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"], True),
    **dict.fromkeys(["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"], False),
    **dict.fromkeys(["", "~", "null", "Null", "NULL"]),
}
SIGNS_AND_DIGITS = frozenset("+-0123456789")
# Go's ParseInt with base 0. Where a leading 0 promises octal and the digits break it (08), the float rule reads on.
INTEGER = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[oO]?([0-7]+)|0[bB]([01]+)|(0|[1-9][0-9]*))")
BASES = (16, 8, 2, 10)
DECIMAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
NOT_A_NUMBER = re.compile(r"\.(nan|NaN|NAN)|[-+]?\.(inf|Inf|INF)")
LEAST, MOST = -(2**63), 2**64 - 1


class NoMeaning(ValueError):  # noqa: N818 - it says what a text lacks
    """A scalar that Kubernetes cannot read; the message says why."""


def resolve(text: str, tag: str | None = None) -> Scalar:
    """The value of a plain scalar, or of one with a ``tag``. Quoted text without a tag needs no resolving."""
    if tag == BINARY:
        try:
            return base64.b64decode(text, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise NoMeaning("!!binary holds no base64 of UTF-8 text") from None
    if tag == STR or (tag is not None and tag not in RESOLVABLE):
        return text
    value = _plain(text)
    if tag is None or tag == _tag(value):
        return value
    if tag == FLOAT and _tag(value) == INT:
        return value
    # A timestamp stays text, so text that is none is let through here too: Kubernetes has no use for the difference.
    if tag == TIMESTAMP and isinstance(value, str):
        return value
    raise NoMeaning(f"{text!r} is no {tag.replace(LONG, '!!')}")


def key(value: Scalar) -> str:
    """A mapping's key as JSON has it: text. Numbers and booleans become text as ``sigs.k8s.io/yaml`` writes them."""
    if isinstance(value, str):
        return value
    if value is None:
        raise NoMeaning("null is no key: write it in double quotes")
    if isinstance(value, bool):
        return "true" if value else "false"
    return _short(value) if isinstance(value, float) else str(value)


def _plain(text: str) -> Scalar:
    if text in WORDS:
        return WORDS[text]
    first = text[0]
    if first == ".":
        return _number(text, text) if DECIMAL.fullmatch(text) else _not_infinite(text)
    if first not in SIGNS_AND_DIGITS:
        return text
    plain = text.replace("_", "")
    if match := INTEGER.fullmatch(plain):
        digits = next(group for group in match.groups()[1:] if group is not None)
        value = int(digits, BASES[match.groups()[1:].index(digits)])
        value = -value if match[1] == "-" else value
        if LEAST <= value <= MOST:
            return value
    return _number(plain, text) if DECIMAL.fullmatch(plain) else _not_infinite(text)


def _number(plain: str, text: str) -> Scalar:
    value = float(plain)
    if value in (float("inf"), float("-inf")):
        return text
    # As JSON, 1.0 is 1: Go marshals a whole float64 without a point.
    return int(value) if value.is_integer() and abs(value) < -LEAST else value


def _not_infinite(text: str) -> str:
    if NOT_A_NUMBER.fullmatch(text):
        raise NoMeaning(f"{text} is no JSON number: write it in double quotes")
    return text


def _tag(value: Scalar) -> str:
    if value is None:
        return NULL
    if isinstance(value, bool):
        return BOOL
    return STR if isinstance(value, str) else INT if isinstance(value, int) else FLOAT


def _short(value: float) -> str:
    """The number as Go's ``FormatFloat(value, 'g', -1, 32)``: the fewest digits that tell it from other float32."""
    try:
        near = struct.pack("f", value)
    except OverflowError:
        return "+Inf" if value > 0 else "-Inf"
    for digits in range(9):
        text = f"{value:.{digits}e}"
        if struct.pack("f", float(text)) == near:
            break
    mantissa, _, exponent = text.partition("e")
    if -4 <= int(exponent) < 6:  # noqa: PLR2004 - the thresholds of FormatFloat for the shortest form
        return format(Decimal(text), "f")
    return f"{mantissa}e{int(exponent):+03d}"
