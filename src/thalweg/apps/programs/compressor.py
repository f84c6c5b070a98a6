"""A small real compressor to tune: the standard library's LZMA with every knob of its filter, and PPMd (pyppmd).

    python -S -I compressor.py lzma pack IN OUT --dict=20 --lc=3 --lp=0 --pb=2 --mode=normal --mf=bt4 --nice=64
    python -I compressor.py ppmd pack IN OUT --order=6 --mem=24 --variant=H
    python -I compressor.py lzma|ppmd unpack IN OUT

pyppmd 1.3.1 does not unpack everything that it packs (of 155 points of order and memory 7 come back too short, and
variant I raises for some), and older ones cut off the end of most: verify the round trip.

The packed file begins with what unpacking needs. Only the standard library is imported (pyppmd for ppmd only), so it
starts in a few milliseconds when run by its path; `-S` keeps pyppmd from being found.
"""

import sys

_LZMA: "dict[str, int | str]" = {
    "dict": 23,
    "lc": 3,
    "lp": 0,
    "pb": 2,
    "mode": "normal",
    "mf": "bt4",
    "nice": 64,
    "depth": 0,
}
_PPMD: "dict[str, int | str]" = {"order": 6, "mem": 24, "variant": "H"}


def main(argv: list[str]) -> int:
    """Pack or unpack one file; gives the exit code (2: the arguments are wrong)."""
    if len(argv) < 4 or argv[0] not in ("lzma", "ppmd") or argv[1] not in ("pack", "unpack"):
        sys.stderr.write(f"{__doc__}\n")
        return 2
    method, action, source, target, *flags = argv
    with open(source, "rb") as file:
        data = file.read()
    try:
        if action == "unpack":
            made = _unpack(method, data)
        else:
            options = _options(_LZMA if method == "lzma" else _PPMD, flags)
            made = _pack_lzma(data, options) if method == "lzma" else _pack_ppmd(data, options)
    except (ValueError, RuntimeError, MemoryError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 2
    with open(target, "wb") as file:
        file.write(made)
    return 0


def _options(known: "dict[str, int | str]", flags: list[str]) -> "dict[str, int | str]":
    options = dict(known)
    for flag in flags:
        name, sign, text = flag.removeprefix("--").partition("=")
        if name not in known or not sign or not flag.startswith("--"):
            raise ValueError(f"unknown flag {flag!r}; known: {', '.join('--' + key + '=' for key in known)}")
        options[name] = int(text) if isinstance(known[name], int) else text
    return options


def _filters(options: "dict[str, int | str]") -> "list[dict[str, int]]":
    import lzma

    finder = {"hc3": lzma.MF_HC3, "hc4": lzma.MF_HC4, "bt2": lzma.MF_BT2, "bt3": lzma.MF_BT3, "bt4": lzma.MF_BT4}
    mode = {"fast": lzma.MODE_FAST, "normal": lzma.MODE_NORMAL}
    if options["mf"] not in finder or options["mode"] not in mode:
        raise ValueError(f"mf is one of {', '.join(finder)}; mode one of {', '.join(mode)}")
    return [
        {
            "id": lzma.FILTER_LZMA2,
            "dict_size": 1 << int(options["dict"]),
            "lc": int(options["lc"]),
            "lp": int(options["lp"]),
            "pb": int(options["pb"]),
            "mode": mode[str(options["mode"])],
            "mf": finder[str(options["mf"])],
            "nice_len": int(options["nice"]),
            "depth": int(options["depth"]),
        }
    ]


def _pack_lzma(data: bytes, options: "dict[str, int | str]") -> bytes:
    import lzma

    try:
        # the decoder needs the dictionary's size only: lc, lp and pb travel inside LZMA2 chunks
        return bytes([int(options["dict"])]) + lzma.compress(data, lzma.FORMAT_RAW, filters=_filters(options))
    except lzma.LZMAError as error:
        raise ValueError(f"these options do not go together: {error}") from None


def _pack_ppmd(data: bytes, options: "dict[str, int | str]") -> bytes:
    import pyppmd

    order, mem, variant = int(options["order"]), int(options["mem"]), str(options["variant"])
    if variant == "H":
        encoder = pyppmd.Ppmd7Encoder(order, 1 << mem)
        body = encoder.encode(data) + encoder.flush()
    elif variant == "I":
        encoder = pyppmd.Ppmd8Encoder(order, 1 << mem, pyppmd.PPMD8_RESTORE_METHOD_RESTART)
        body = encoder.encode(data) + encoder.flush()
    else:
        raise ValueError(f"variant is H or I, not {variant!r}")
    return bytes([ord(variant), order, mem]) + len(data).to_bytes(8, "little") + bytes(body)


def _unpack(method: str, data: bytes) -> bytes:
    if method == "lzma":
        import lzma

        filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << data[0]}]
        return bytes(lzma.decompress(data[1:], lzma.FORMAT_RAW, filters=filters))
    import pyppmd

    variant, order, mem, length = chr(data[0]), data[1], data[2], int.from_bytes(data[3:11], "little")
    if variant == "H":
        return bytes(pyppmd.Ppmd7Decoder(order, 1 << mem).decode(data[11:], length))
    decoder = pyppmd.Ppmd8Decoder(order, 1 << mem, pyppmd.PPMD8_RESTORE_METHOD_RESTART)
    return bytes(decoder.decode(data[11:], length))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
