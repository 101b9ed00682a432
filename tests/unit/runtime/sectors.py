"""Guests of one boot sector, put together from a few machine instructions."""

HALT = bytes.fromhex("fa f4 ebfd")  # cli; hlt for ever: no ACPI, so it never follows a shutdown request
POWER_OFF = bytes.fromhex("ba0406 b80020 ef")  # SLP_EN, S5 to PM1a_CNT of the pc machine

_PACKET_AT = 0x1E0  # of 64 sectors from 1000:0000, to LBA 64
_PACKET = bytes.fromhex("1000 4000 0000 0010 4000000000000000")


def say(text: str) -> bytes:
    """Wait until COM1 takes a byte, send it; for each character. 14 bytes each."""
    return b"".join(bytes.fromhex(f"bafd03 ec a820 74fb b0{ord(c):02x} baf803 ee") for c in text)


ECHO = bytes.fromhex("bafd03 ec a801 74fb baf803 ec 0401 ee ebef")
"""For ever: wait until COM1 has a byte, read it, send it back plus one."""


def sector(*code: bytes) -> bytes:
    start = bytes.fromhex("31c0 8ed8 8ed0 bc007c")  # ds = ss = 0, stack below
    filled = (start + b"".join(code)).ljust(_PACKET_AT, b"\0") + _PACKET
    assert len(filled) == _PACKET_AT + len(_PACKET), "too much code for one sector"
    return filled.ljust(510, b"\0") + b"\x55\xaa"


def write_8_mib(done: str) -> bytes:
    """32 KiB into each 64 KiB cluster up to 8 MiB by INT 13h, then ``done``; on the first error ``BAD``."""
    failed = say("BAD\n") + HALT
    step = bytes.fromhex("8106e87d8000 813ee87d0040")  # LBA += 128; at 16384 sectors it is enough
    call = bytes.fromhex("b80043 bee07d b280 cd13")  # AH=43h, packet, first disk
    error = bytes.fromhex("7303 e9") + (len(step) + 2 + len(say(done) + HALT)).to_bytes(2, "little")
    again = -(len(call) + len(error) + len(step) + 2)
    return (
        call + error + step + b"\x72" + again.to_bytes(1, "little", signed=True) + say(done) + HALT + failed
    )
