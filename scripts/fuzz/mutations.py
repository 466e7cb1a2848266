"""Mutations of files: of any bytes, and of the structure of the formats that aebench reads."""

from __future__ import annotations

import copy
import csv
import io
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

Mutation = Callable[[bytes, random.Random], bytes]

TOKENS = (
    *(b"\0", b"\xff" * 8, b"\x7f" * 4, b"\r\n", b"\n", b'"', b"'", b",", b"=", b"[[", b"]]", b"{"),
    *(b"-1", b"0", b"1e999", b"-1e999", b"NaN", b"Infinity", b"9" * 25, b"9" * 5000, b"true"),
    *(b"\xef\xbb\xbf", b"\xe2\x80\xae", b"\xed\xa0\x80", b"\\ud800", b"\\u0000", b"\xd9\xa3"),
    *(b"=cmd|'/C calc'!A0", b"../../../../etc/passwd", b"/dev/zero", b"<script>", b"${HOME}"),
    *(b"[" * 3000, b'{"a":' * 3000, b"cos\nsystem\n(S'true'\ntR.", b"\x80\x04\x95", b"PK\x03\x04"),
    *(b"null", b"None", b"1979-05-27", b"0x10", b"1_0", b"a.b.c", b"*", b"A" * 200_000),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, 10**400, -0.0, 1.5, 1e308, 1e-320),
    *(float("inf"), float("nan"), "", "a", "\0", "\ud800", "../../x", "=1+1", "<b>", "9" * 5000),
    *(
        [],
        {},
        [[]],
        [None],
        {"": None},
        [0] * 1000,
        {"a": {"b": {"c": []}}},
        "a" * 100_000,
        "\u0661",
    ),
)
TOML_VALUES = (
    *("0", "-1", "1.5", "inf", "nan", "true", '""', '"a"', "[]", "{}", "[1, 2]", '["a", 1]'),
    *("1979-05-27", "07:32:00", "9" * 30, "9" * 5000, "1e400", '"\\u0000"', '"../../x"', "[[]]"),
    *("{a = 1}", "[" * 500 + "]" * 500, "'''\n'''", "0x10", '"vae"', '["ae", "vae", "ae"]'),
    *(f"[{', '.join(map(str, range(3000)))}]", '"folder:/dev"', '"npz:\\n"', "{}.a", "1_000"),
)
SIZES = (0, 1, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1)


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """Returns the bytes with one to four small changes."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        rng.choice(_BYTE_CHANGES)(changed, rng)
    return bytes(changed)


def mutate_json(data: bytes, rng: random.Random) -> bytes:
    """Returns a JSON document of which one or two values are replaced, removed or nested."""
    document = json.loads(data)
    for _ in range(rng.randint(1, 2)):
        document = change_value(document, rng)
    return json.dumps(document).encode()


def change_value(document: Any, rng: random.Random) -> Any:  # noqa: ANN401
    """Returns a copy of JSON values in which one is another."""
    document = copy.deepcopy(document)
    places = list(_places(document)) if isinstance(document, dict | list) else []
    if not places or rng.random() < 0.02:
        return rng.choice(VALUES)
    parent, key = rng.choice(places)
    action = rng.randrange(5)
    if action == 0:
        del parent[key]
    elif action == 1 and isinstance(parent, dict):
        parent[rng.choice(("x", "", "\0", "__class__"))] = rng.choice(VALUES)
    elif action == 2:
        parent[key] = [parent[key]]
    else:
        parent[key] = rng.choice(VALUES)
    return document


def mutate_toml(data: bytes, rng: random.Random) -> bytes:
    """Returns a TOML file with lines changed, removed, repeated or moved."""
    lines = data.decode().split("\n")
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(lines))
        key, equals, _ = lines[at].partition("=")
        action = rng.randrange(6)
        if equals and action < 3:
            lines[at] = f"{key}= {rng.choice(TOML_VALUES)}"
        elif action == 3:
            lines.insert(rng.randrange(len(lines)), lines[at])
        elif action == 4:
            del lines[at]
            lines = lines or [""]
        else:
            lines[at] = rng.choice(("[runs]", "[[runs]]", "[a.b]", "[training]", "x = 1", "[["))
    return "\n".join(lines).encode()


def mutate_csv(data: bytes, rng: random.Random) -> bytes:
    """Returns a CSV file with cells changed, and lines cut, repeated or widened."""
    lines = list(csv.reader(io.StringIO(data.decode())))
    for _ in range(rng.randint(1, 3)):
        line = rng.choice(lines) if rng.random() < 0.9 else lines[0]
        action = rng.randrange(8)
        if action == 0:
            lines.append(list(line))
        elif action == 1:
            line.append(_cell(rng))
        elif action == 2 and line:
            del line[rng.randrange(len(line))]
        elif line:
            line[rng.randrange(len(line))] = _cell(rng)
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(lines)
    return stream.getvalue().encode("utf-8", "surrogatepass")


def mutate_words(data: bytes, rng: random.Random) -> bytes:
    """Returns a file of words in lines with words and lines changed."""
    lines = [line.split(b" ") for line in data.split(b"\n")]
    for _ in range(rng.randint(1, 3)):
        line = rng.choice(lines)
        line[rng.randrange(len(line))] = rng.choice(TOKENS)
        if rng.random() < 0.2:
            lines.append(list(line))
    return b"\n".join(b" ".join(line) for line in lines)


def mutate_safetensors(data: bytes, rng: random.Random) -> bytes:
    """Returns a safetensors file with another header over the same data."""
    size = int.from_bytes(data[:8], "little")
    header = change_value(json.loads(data[8 : 8 + size]), rng)
    text = json.dumps(header).encode()
    for old in (b'"F32"', b'"I64"'):
        if rng.random() < 0.2:
            types = ("BF16", "F16", "F64", "BOOL", "U8", "F8_E4M3", "F8_E5M2", "F4", "U64", "C64")
            text = text.replace(old, f'"{rng.choice(types)}"'.encode(), 1)
    length = len(text) if rng.random() < 0.9 else rng.choice(SIZES)
    return (length % 2**64).to_bytes(8, "little") + text + data[8 + size :]


def mutate_npy(data: bytes, rng: random.Random) -> bytes:
    """Returns a .npy file with another header over the same data."""
    size = int.from_bytes(data[8:10], "little")
    header, body = data[10 : 10 + size].decode("latin1"), data[10 + size :]
    shapes = ("()", "(1,)", "(-1,)", "(0, 5)", "(99999999999,)", f"({2**31}, {2**31})", "(1.5,)")
    descrs = ("|O", "<f8", "<f2", "|u1", "|S5", "<U4", "<M8[s]", "<c16", "|V8", ">f4", "|b1", "x")
    action = rng.randrange(5)
    if action == 0:
        start, _, rest = header.partition("'shape': (")
        header = f"{start}'shape': {rng.choice(shapes)}{rest.partition(')')[2]}"
    elif action == 1:
        start, _, rest = header.partition("'descr': '")
        header = f"{start}'descr': '{rng.choice(descrs)}'{rest.partition(chr(39))[2]}"
    elif action == 2:
        start, _, rest = header.partition("'descr': '")
        fields = ("[('a', '<f4')]", "[]", "('<f4', (2,))", "[('a', '|O')]", "None", "{}", "1")
        header = f"{start}'descr': {rng.choice(fields)}{rest.partition(chr(39))[2]}"
    elif action == 3:
        header = mutate_bytes(header.encode("latin1"), rng).decode("latin1")
    else:
        header = rng.choice(("", "{}", "{[]: 1}", "[" * 200, "(" * 9000, "1", "{'shape': L}"))
    text = header.encode("latin1", "replace")
    version = bytes((rng.choice((1, 1, 1, 1, 2, 3, 9)), 0))
    return data[:6] + version + (len(text) % 2**16).to_bytes(2, "little") + text + body


def mutate_npz(data: bytes, rng: random.Random) -> bytes:
    """Returns an .npz file of which one member is another, or is not an array."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(members))
    action = rng.randrange(5)
    if action == 0:
        members[rng.choice(("readme.txt", "../x.npy", "\0", "a" * 300, "train.npy"))] = b"text"
    elif action == 1:
        members[name] = rng.choice((b"", b"text", b"\x93NUMPY", mutate_bytes(members[name], rng)))
    elif action == 2:
        members["other.npy"] = members.pop(name)
    else:
        members[name] = mutate_npy(members[name], rng)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", rng.choice((0, 8, 8, 12))) as archive:
        for each, content in members.items():
            archive.writestr(zipfile.ZipInfo(each or "\0"), content)
    return stream.getvalue()


def mutate_png(data: bytes, rng: random.Random) -> bytes:
    """Returns a PNG file with chunks changed, repeated, dropped or added; the CRCs are right."""
    chunks, at = [], 8
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += size + 12
    place = rng.randrange(len(chunks))
    kind, body = chunks[place]
    action = rng.randrange(5)
    if action == 0:
        del chunks[place]
    elif action == 1:
        chunks.insert(place, rng.choice(chunks))
    elif action == 2:
        kinds = (b"tRNS", b"PLTE", b"zTXt", b"iTXt", b"iCCP", b"eXIf", b"acTL", b"fcTL", b"gAMA")
        bomb = b"a\0\0" + zlib.compress(bytes(5_000_000), 1)
        text = rng.choice((b"", b"\0" * 6, bytes(768), b"\xff" * 30, b"MM\0*" * 4))
        new = rng.choice(kinds)
        chunks.insert(place, (new, bomb if new == b"zTXt" else text))
    elif kind == b"IHDR":
        sizes = struct.pack(">II", *(rng.choice((0, 1, 8, 4097, 2**31 - 1)) for _ in range(2)))
        chunks[place] = (kind, sizes + bytes((rng.choice((1, 8, 16)), rng.randrange(8), 0, 0, 0)))
    else:
        chunks[place] = (kind, mutate_bytes(body, rng))
    parts = [data[:8]]
    for kind, body in chunks:
        parts += [struct.pack(">I", len(body)), kind, body]
        parts.append(struct.pack(">I", zlib.crc32(kind + body)))
    return b"".join(parts)


def _places(document: Any) -> list[tuple[Any, Any]]:  # noqa: ANN401
    found: list[tuple[Any, Any]] = []
    waiting = [document]
    while waiting:
        node = waiting.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node))
        for key in keys:
            found.append((node, key))
            if isinstance(node[key], dict | list):
                waiting.append(node[key])
    return found


def _cell(rng: random.Random) -> str:
    if rng.random() < 0.5:
        return rng.choice(TOKENS).decode("utf-8", "surrogateescape").replace("\r", "")
    value = str(rng.choice(VALUES[:-3]))
    return value if len(value) < 10_000 else value[:10_000]


def _flip(data: bytearray, rng: random.Random) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _remove(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data) + 1)
    del data[start : start + rng.randint(1, 16)]


def _splice(data: bytearray, rng: random.Random) -> None:
    start, to = rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)
    data[to:to] = data[start : start + rng.randint(1, 64)]


def _insert(data: bytearray, rng: random.Random) -> None:
    to = rng.randrange(len(data) + 1)
    data[to:to] = rng.choice(TOKENS)


def _write_size(data: bytearray, rng: random.Random) -> None:
    width, order = rng.choice((2, 4, 8)), rng.choice(("little", "big"))
    to = (
        rng.randrange(min(len(data), 64) + 1)
        if rng.random() < 0.6
        else rng.randrange(len(data) + 1)
    )
    value = rng.choice(SIZES) % (1 << 8 * width)
    data[to : to + width] = value.to_bytes(width, order)  # type: ignore[arg-type]


_BYTE_CHANGES = (_flip, _flip, _flip, _cut, _remove, _splice, _insert, _insert, _write_size)
