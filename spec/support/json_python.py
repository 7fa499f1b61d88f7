#!/usr/bin/python3
"""What Python's json module makes of numbers, strings and whole documents.

Writes spec/fixtures/json-python.json, the table that host/test/test_json_python.c checks us against:

    spec/support/json_python.py > spec/fixtures/json-python.json

reals:     [[bits of the double as 16 hexadecimal digits, json.dumps of it], ...]
strings:   [[bytes as hexadecimal UTF-8, json.dumps of it], ...]
documents: [[bytes as hexadecimal, json.dumps(json.loads(bytes)) or null if Python rejects them], ...]
"""

import json
import random
import struct
import sys

RANDOM = random.Random(20260131)

# json.loads refuses longer integers since CPython 3.11; the wire has no such limit.
assert sys.get_int_max_str_digits() >= 4300


def double(bits):
    return struct.unpack(">d", bits.to_bytes(8, "big"))[0]


def bits_of(value):
    return int.from_bytes(struct.pack(">d", value), "big")


def reals():
    cases = [0, 1 << 63, 1, 2, (1 << 52) - 1, 1 << 52, 0x7FEFFFFFFFFFFFFF]
    cases += [0x7FF0000000000000, 0xFFF0000000000000, 0x7FF8000000000000]
    for exponent in range(0, 2047, 13):  # powers of two: the neighbour below is nearer
        cases += [exponent << 52, (exponent << 52) - 1 if exponent else 1, (exponent << 52) + 1]
    cases += [bits_of(float("%de%d" % (d, e))) for e in range(-8, 25) for d in (1, 9, 123456789)]
    cases += [bits_of(x) for x in (0.1, 0.2, 0.1 + 0.2, 1 / 3, 1e16 - 2, 1e16, 123456789012345680.0)]
    cases += [bits_of(x) for x in (9007199254740993.0, 5e-324, 2.5, -1.5, 1e22, 1e23, 1.1e-5, 9.999e-5)]
    cases += [RANDOM.getrandbits(64) for _ in range(300)]
    cases += [RANDOM.getrandbits(RANDOM.randint(1, 52)) for _ in range(40)]
    cases += [bits_of(round(RANDOM.uniform(-1e6, 1e6), RANDOM.randint(0, 8))) for _ in range(100)]
    return [["%016x" % b, json.dumps(double(b))] for b in cases]


def strings():
    cases = ["", "plain", "\"\\/", "\b\f\n\r\t", "\x00", "\x7f", "\x80\xff", "\u07ff\u0800", "\ud7ff\ue000"]
    cases += ["\uffff", "\U00010000", "\U0010ffff", "\U0001f427", "\u2028\u2029", "naïve 中文"]
    cases += ["".join(map(chr, range(256)))]
    for _ in range(60):
        points = [RANDOM.choice((0x7F, 0x7FF, 0xFFFF, 0x10FFFF)) for _ in range(RANDOM.randint(1, 12))]
        text = "".join(chr(RANDOM.randint(0, top)) for top in points)
        cases.append("".join(c for c in text if not 0xD800 <= ord(c) <= 0xDFFF))
    return [[c.encode().hex(), json.dumps(c)] for c in cases]


def random_text(depth):
    """A valid document with random white space and spelling."""

    def space():
        return "".join(RANDOM.choice(" \t\n\r") for _ in range(RANDOM.choice((0, 0, 0, 1, 3))))

    def string():
        parts = [
            *"abz09 é中🐧/",
            *(r"\"", r"\\", r"\/", r"\b", r"\f", r"\n", r"\r", r"\t"),
            *(r"\u0041", r"\u00e9", r"\u00E9", r"\ud83d\udc27", r"\u0000", r"\uFFFF"),
        ]
        return '"' + "".join(RANDOM.choice(parts) for _ in range(RANDOM.randint(0, 6))) + '"'

    def number():
        whole = RANDOM.choice(("0", "1", "-0", "-7", "42", str(RANDOM.getrandbits(70)), "1" + "0" * 300))
        fraction = RANDOM.choice(("", "", ".0", ".5", ".%d" % RANDOM.getrandbits(60)))
        exponent = RANDOM.choice(("", "", "e5", "E+10", "e-7", "e00", "E400", "e-400"))
        return whole + fraction + exponent

    kind = RANDOM.randint(0, 5 if depth else 3)
    if kind == 0:
        return RANDOM.choice(("null", "true", "false", "NaN", "Infinity", "-Infinity"))
    if kind == 1:
        return string()
    if kind <= 3:
        return number()
    items = [random_text(depth - 1) for _ in range(RANDOM.randint(0, 4))]
    if kind == 4:
        return "[" + space() + ",".join(space() + i + space() for i in items) + "]"
    names = [RANDOM.choice((string(), '"a"', r'"\u0061"', '"b"')) for _ in items]
    members = (space() + n + space() + ":" + space() + i + space() for n, i in zip(names, items))
    return "{" + space() + ",".join(members) + "}"


def broken(text):
    """The same with a byte or two changed, dropped or added."""
    data = bytearray(text)
    for _ in range(RANDOM.randint(1, 2)):
        at = RANDOM.randint(0, len(data))
        how = RANDOM.randint(0, 2)
        byte = RANDOM.choice(b'"\\/{}[]:,0123.-+eEuINtfn \n\x00\x1f\x7f\x80\xc0\xed\xf4\xff')
        if how == 0:
            data.insert(at, byte)
        elif at < len(data):
            if how == 1:
                data[at] = byte
            else:
                del data[at]
    return bytes(data)


def verdict(data):
    try:
        return json.dumps(json.loads(data.decode("utf-8")))
    except ValueError:
        return None


def documents():
    cases = [
        b"", b" ", b"nul", b"nulll", b"True", b"None", b"nan", b"-NaN", b"+1", b"+Infinity", b"-Infinit", b"- 1",
        b"-", b"01", b"-01", b"00", b"1.", b".5", b"1.e5", b"1e", b"1e+", b"1e5.5", b"0x10", b"1_000", b"1,", b"1 2",
        b"'a'", b'"', b'"\\"', b'"\\', b'"\\x"', b'"\\u"', b'"\\u12"', b'"\\u123g"', b'"\\U00000041"', b'"a\nb"',
        b'"\t"', b'"\x00"', b'"\x7f"', b"[", b"]", b"[1", b"[1,", b"[1,]", b"[,1]", b"[1 2]", b"[1}", b"{", b"}",
        b'{"a"', b'{"a":', b'{"a":1', b'{"a":1,', b'{"a":1,}', b'{"a" 1}', b"{a:1}", b"{1:1}", b'{"a":1]', b"{,}",
        b'{"a":}', b'{null:1}', b"[1]x", b"[]]", b"{}{}", b"/**/1", b"1//x", b"\x0b1", b"\xc2\xa01",
        b"\xef\xbb\xbf1", b'"\xff"', b'"\xc0\xaf"', b'"\xc1\xbf"', b'"\xe0\x80\xaf"', b'"\xe0\x9f\xbf"',
        b'"\xed\xa0\x80"', b'"\xed\x9f\xbf"', b'"\xf0\x80\x80\x80"', b'"\xf0\x8f\xbf\xbf"', b'"\xf0\x90\x80\x80"',
        b'"\xf4\x8f\xbf\xbf"', b'"\xf4\x90\x80\x80"', b'"\xf5\x80\x80\x80"', b'"\xe2\x82"', b'"\xe2\x82', b'"\x80"',
        b'{"a":1,"a":2}', b'{"a":1,"b":2,"\\u0061":3}', b'[[[[[[[[[[]]]]]]]]]]', b" [ ] ", b" { } ", b"[NaN,Infinity]",
        b"1e400", b"-1e400", b"1E-400", b"-0", b"-0.0", b"0e0", b"123456789012345678901234567890", b"1.0", b"1e5",
        b'"\\ud83d\\udc27"', b'"\\uD83D\\uDC27"', b'""', b'{"":""}', b'"\\ud83d"', b'["\\udc27\\ud83d"]',
    ]  # fmt: skip
    for _ in range(150):
        text = random_text(3).encode()
        cases += [text, broken(text), broken(text)]
    return [[c.hex(), verdict(c)] for c in cases]


def main():
    tables = {"reals": reals(), "strings": strings(), "documents": documents()}
    rows = (
        json.dumps(name) + ": [\n" + ",\n".join(json.dumps(row) for row in table) + "\n]"
        for name, table in tables.items()
    )
    print("{\n" + ",\n".join(rows) + "\n}")


main()
