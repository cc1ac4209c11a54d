"""The emulated GPU's translator: small texts in PTX do what its manual says, and what is wrong in them is found.

Source: Parallel Thread Execution ISA, NVIDIA: https://docs.nvidia.com/cuda/parallel-thread-execution/
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.gpu.emulator.ptx import UnsupportedError, translated
from tests.gpu.emulator.ptx import __main__ as translator

pytestmark = pytest.mark.skipif(
    shutil.which("g++") is None, reason="the emulated GPU is compiled by gcc and g++, which are not here"
)
HERE = Path(__file__).parent
ALL = 0xFFFFFFFF

HEAD = ".version 8.8\n.target sm_90\n.address_size 64\n.shared .align 16 .b8 room[256];\n"

#: Numbers come in as 64 bits (%X, %Y, %Z) and as their low 32 (%x, %y, %z); %O or %o is what comes out.
KERNEL = """
.visible .entry {name}(.param .u64 out, .param .u64 in) {{
    .reg .pred %p, %q;
    .reg .b16 %h;
    .reg .b32 %x, %y, %z, %o, %s, %t, %tid;
    .reg .b64 %X, %Y, %Z, %O, %out, %in, %at;
    ld.param.u64 %out, [out];
    ld.param.u64 %in, [in];
    ld.global.u64 %X, [%in];
    ld.global.u64 %Y, [%in+8];
    ld.global.u64 %Z, [%in+16];
    cvt.u32.u64 %x, %X;
    cvt.u32.u64 %y, %Y;
    cvt.u32.u64 %z, %Z;
    mov.b32 %o, 0;
    mov.b64 %O, 0;
    mov.u32 %tid, %tid.x;
    mad.wide.u32 %at, %tid, 16, %out;
    {code}
    st.global.u32 [%at], %o;
    st.global.u64 [%at+8], %O;
    ret;
}}
"""


def f32(x: float) -> int:
    return int(struct.unpack("I", struct.pack("f", x))[0])


def f64(x: float) -> int:
    return int(struct.unpack("Q", struct.pack("d", x))[0])


NAN, INF = f32(float("nan")), f32(float("inf"))
MINUS = 2**32 - 1  # -1 as 32 bits

#: What is computed, from which numbers, and what comes out: where the code names %O, of that.
CASES: list[tuple[str, tuple[int, ...], int]] = [
    ("add.s32 %o, %x, %y;", (0x7FFFFFFF, 1), 0x80000000),
    ("add.sat.s32 %o, %x, %y;", (0x7FFFFFFF, 1), 0x7FFFFFFF),
    ("sub.u64 %O, %X, %Y;", (0, 1), 2**64 - 1),
    ("mul.lo.s32 %o, %x, %y;", (MINUS, 7), 2**32 - 7),
    ("mul.hi.u32 %o, %x, %y;", (ALL, ALL), 0xFFFFFFFE),
    ("mul.hi.s32 %o, %x, %y;", (MINUS, 7), ALL),
    ("mul.wide.s32 %O, %x, %y;", (MINUS, 7), 2**64 - 7),
    ("mul.hi.u64 %O, %X, %Y;", (2**63, 6), 3),
    ("mad.lo.u32 %o, %x, %y, %z;", (3, 5, 7), 22),
    ("mad.wide.u32 %O, %x, %y, %Z;", (ALL, 2, 1), 2**33 - 1),
    ("div.s32 %o, %x, %y;", (2**31, MINUS), 2**31),
    ("div.u32 %o, %x, %y;", (7, 0), ALL),
    ("rem.s32 %o, %x, %y;", (2**32 - 7, 3), ALL),
    ("abs.s32 %o, %x;", (2**32 - 9,), 9),
    ("min.s32 %o, %x, %y;", (MINUS, 1), MINUS),
    ("min.u32 %o, %x, %y;", (MINUS, 1), 1),
    # A carry goes from one instruction to the next.
    ("add.cc.u32 %t, %x, %y; addc.u32 %o, %z, 0;", (ALL, 1, 5), 6),
    ("add.cc.u32 %t, %x, %y; addc.u32 %o, %z, 0;", (ALL, 0, 5), 5),
    ("sub.cc.u32 %t, %x, %y; subc.u32 %o, %z, 0;", (0, 1, 5), 4),
    ("add.cc.u32 %t, %x, %y; addc.cc.u32 %t, %z, 0; addc.u32 %o, 0, 0;", (ALL, 1, ALL), 1),
    ("mad.lo.cc.u32 %t, %x, %y, %z; madc.hi.u32 %o, %x, %y, 0;", (ALL, ALL, ALL), ALL),
    # Beyond the width.
    ("shl.b32 %o, %x, %y;", (1, 31), 2**31),
    ("shl.b32 %o, %x, %y;", (1, 32), 0),
    ("shr.u32 %o, %x, %y;", (ALL, 40), 0),
    ("shr.s32 %o, %x, %y;", (2**31, 40), ALL),
    ("shl.b64 %O, %X, %y;", (1, 64), 0),
    ("shf.l.wrap.b32 %o, %x, %y, %z;", (0x80000000, 1, 33), 3),
    ("shf.r.clamp.b32 %o, %x, %y, %z;", (5, 9, 40), 9),
    # Bits.
    ("lop3.b32 %o, %x, %y, %z, 150;", (0b1100, 0b1010, 0b1111), 0b1001),
    ("prmt.b32 %o, %x, %y, %z;", (0x03020100, 0x07060504, 0x7531), 0x07050301),
    ("prmt.b32 %o, %x, %y, %z;", (0x80, 0, 0x0008), 0x808080FF),
    ("bfe.s32 %o, %x, 4, 4;", (0x80,), 2**32 - 8),
    ("bfe.u32 %o, %x, 28, 8;", (0xF0000000,), 15),
    ("bfi.b32 %o, %x, %y, 4, 8;", (0xFF, 0), 0xFF0),
    ("bfind.u32 %o, %x;", (0x100,), 8),
    ("bfind.u32 %o, %x;", (0,), ALL),
    ("clz.b32 %o, %x;", (0,), 32),
    ("popc.b64 %o, %X;", (2**64 - 1,), 64),
    ("brev.b32 %o, %x;", (1,), 2**31),
    # Conversions: to what is nearest, and NaN to 0.
    ("cvt.rzi.s32.f32 %o, %x;", (f32(-2.7),), 2**32 - 2),
    ("cvt.rzi.s32.f32 %o, %x;", (f32(3e9),), 0x7FFFFFFF),
    ("cvt.rzi.u32.f32 %o, %x;", (f32(-3.0),), 0),
    ("cvt.rzi.s32.f32 %o, %x;", (NAN,), 0),
    ("cvt.rzi.s64.f64 %O, %X;", (f64(1e300),), 2**63 - 1),
    ("cvt.rni.s32.f32 %o, %x;", (f32(2.5),), 2),
    ("cvt.sat.s8.s32 %h, %x; cvt.s32.s8 %o, %h;", (200,), 127),
    ("cvt.sat.u8.s32 %h, %x; cvt.u32.u8 %o, %h;", (MINUS,), 0),
    ("cvt.s8.s32 %h, %x; cvt.s32.s8 %o, %h;", (200,), 2**32 - 56),
    ("cvt.rn.f16.f32 %h, %x; cvt.u32.u16 %o, %h;", (f32(70000.0),), 0x7C00),
    ("cvt.rn.bf16.f32 %h, %x; cvt.u32.u16 %o, %h;", (0x3F808000,), 0x3F80),
    ("cvt.rn.bf16.f32 %h, %x; cvt.u32.u16 %o, %h;", (0x3F818000,), 0x3F82),
    ("cvt.rz.f32.f64 %o, %X;", (f64(1 + 2**-24 + 2**-30),), f32(1.0)),
    ("cvt.rp.f32.f64 %o, %X;", (f64(1 + 2**-30),), 0x3F800001),
    ("cvt.sat.f32.f32 %o, %x;", (f32(7.0),), f32(1.0)),
    ("cvt.rn.f32.u32 %o, %x;", (ALL,), f32(2.0**32)),
    # Floats.
    ("fma.rn.f32 %o, %x, %y, %z;", (0x3F800001, 0x3F800001, f32(-1.0)), f32((1 + 2**-23) ** 2 - 1)),
    ("mul.rn.f32 %s, %x, %y; add.rn.f32 %o, %s, %z;", (0x3F800001, 0x3F800001, f32(-1.0)), f32(2**-22)),
    ("add.rz.f32 %o, %x, %y;", (f32(1.0), f32(-(2.0**-60))), 0x3F7FFFFF),
    ("add.rp.f32 %o, %x, %y;", (f32(1.0), f32(2.0**-60)), 0x3F800001),
    ("min.f32 %o, %x, %y;", (NAN, f32(1.0)), f32(1.0)),
    ("max.NaN.f32 %o, %x, %y;", (f32(1.0), NAN), NAN),
    ("max.f32 %o, %x, %y;", (f32(-0.0), f32(0.0)), f32(0.0)),
    ("setp.neu.f32 %p, %x, %x; selp.b32 %o, 1, 0, %p;", (NAN,), 1),
    ("setp.ne.f32 %p, %x, %x; selp.b32 %o, 1, 0, %p;", (NAN,), 0),
    ("setp.lt.and.s32 %p|%q, %x, %y, 1; selp.b32 %o, 2, 3, %q;", (1, 5), 3),
    ("rcp.rn.f32 %o, %x;", (f32(0.0),), INF),
    ("add.f16x2 %o, %x, %y;", (0x3C004000, 0x3C003C00), 0x40004200),
    ("neg.f64 %O, %X;", (f64(2.5),), f64(-2.5)),
    ("neg.bf16x2 %o, %x;", (0x3F80BF80,), 0xBF803F80),
    ("abs.f32 %o, %x;", (f32(-0.0),), f32(0.0)),
    ("abs.f16x2 %o, %x;", (0xBC00FC00,), 0x3C007C00),
    # Memory.
    ("st.shared.v2.b32 [room+8], {%x, %y}; ld.shared.u64 %O, [room+8];", (1, 2), 2**33 + 1),
    ("mov.b64 %O, {%x, %y};", (3, 4), 2**34 + 3),
    ("atom.global.add.u32 %t, [%in], 5; atom.global.exch.b32 %o, [%in], %t;", (10,), 15),
    ("atom.global.cas.b32 %o, [%in], 9, 5; ld.global.u32 %s, [%in]; sub.u32 %o, %o, %s;", (9,), 4),
    ("@%p bra END; setp.eq.s32 %p, %x, 1; @!%p bra END; mov.b32 %o, 7; END:", (1,), 7),
]


@pytest.fixture(scope="module")
def harness() -> ctypes.CDLL:
    """The part of the device that runs kernels; compiled once for each state of its sources."""
    emulator = HERE / "emulator"
    sources = [emulator / each for each in ("harness.cpp", "device/blocks.cpp", "device/rounding.cpp")]
    headers = [emulator / "device" / "blocks.h", emulator / "ptx" / "thread.h", HERE / "fibres.h"]
    digest = hashlib.sha256(b"".join(each.read_bytes() for each in (*sources, *headers))).hexdigest()[:16]
    made = Path(tempfile.gettempdir()) / f"distrt-emulated-blocks-{os.getuid()}-{digest}.so"
    if not made.exists():
        own = made.with_suffix(f".{os.getpid()}")
        flags = ["-std=c++17", "-O1", "-shared", "-fPIC", "-w", "-U_FORTIFY_SOURCE"]
        subprocess.run(["g++", *flags, *map(str, sources), "-o", str(own), "-ldl"], check=True, timeout=100)
        own.replace(made)
    library = ctypes.CDLL(str(made))
    library.run.restype = ctypes.c_char_p
    return library


def compiled(text: str, folder: Path) -> str:
    source, library = folder / "kernel.ptx", folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.so"
    source.write_text(HEAD + text)
    assert translator.main(str(source), str(library)) == 0
    return str(library)


Run = Callable[..., tuple[Any, str]]


@pytest.fixture
def run(harness: ctypes.CDLL, tmp_path: Path) -> Run:
    def ran(code: str, *numbers: int, threads: int = 1, blocks: int = 1) -> tuple[Any, str]:
        """What each thread gives for %o, and what went wrong."""
        library = compiled(KERNEL.format(name="kernel", code=code), tmp_path)
        out, said = launched(harness, library, "kernel", numbers, threads, blocks)
        return out[:, 0].astype(np.uint32).tolist(), said

    return ran


def launched(
    harness: ctypes.CDLL, library: str, name: str, numbers: tuple[int, ...], threads: int, blocks: int
) -> tuple[Any, str]:
    out, given = np.zeros((threads * blocks, 2), np.uint64), np.zeros(4, np.uint64)
    given[: len(numbers)] = numbers
    addresses = (ctypes.c_void_p * 2)(out.ctypes.data, given.ctypes.data)
    places = (ctypes.c_void_p * 2)(*(ctypes.addressof(addresses) + 8 * n for n in range(2)))
    said = harness.run(library.encode(), name.encode(), blocks, threads, 0, places).decode()
    return out, said


def test_each_instruction_gives_what_the_manual_says(harness: ctypes.CDLL, tmp_path: Path) -> None:
    kernels = [KERNEL.format(name=f"case_{n}", code=code) for n, (code, *_) in enumerate(CASES)]
    library = compiled("".join(kernels), tmp_path)
    wrong = []
    for n, (code, numbers, expected) in enumerate(CASES):
        out, said = launched(harness, library, f"case_{n}", numbers, 1, 1)
        found = int(out[0, 1]) if "%O" in code else int(out[0, 0])
        if found != expected or said:
            wrong.append(f"{code} of {numbers}: {found:#x}, not {expected:#x} {said}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.ci
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("shfl.sync.bfly.b32 %o, %tid, 1, 31, -1;", [n ^ 1 for n in range(32)]),
        ("shfl.sync.up.b32 %o, %tid, 2, 0, -1;", [0, 1, *range(30)]),
        ("shfl.sync.down.b32 %o|%p, %tid, 4, 31, -1; selp.b32 %o, %o, 99, %p;", [*range(4, 32), *[99] * 4]),
        ("shfl.sync.idx.b32 %o, %tid, 1, 0x181f, -1;", [n // 8 * 8 + 1 for n in range(32)]),
        ("setp.lt.u32 %p, %tid, 5; vote.sync.ballot.b32 %o, %p, -1;", [31] * 32),
        ("and.b32 %s, %tid, 1; match.any.sync.b32 %o, %s, -1;", [0x55555555, 0xAAAAAAAA] * 16),
        ("redux.sync.add.s32 %o, %tid, -1;", [496] * 32),
    ],
)
def test_a_warp_exchanges_what_its_lanes_have(run: Run, code: str, expected: list[int]) -> None:
    assert run(code, threads=32) == (expected, "")


#: Each thread writes its number, and reads the next one's.
_NEXT = """
    shl.b32 %s, %tid, 2; mov.u32 %t, room; add.u32 %s, %s, %t; st.shared.u32 [%s], %tid; {barrier}
    add.u32 %t, %tid, 1; and.b32 %t, %t, 63; shl.b32 %t, %t, 2; mov.u32 %s, room; add.u32 %s, %s, %t;
    ld.shared.u32 %o, [%s]; mov.u32 %t, %ctaid.x; mad.lo.u32 %t, %t, 64, %tid; mad.wide.u32 %at, %t, 16, %out;
"""


@pytest.mark.ci
def test_threads_meet_at_a_barrier(run: Run) -> None:
    found, said = run(_NEXT.format(barrier="bar.sync 0;"), threads=64, blocks=2)
    assert found == [(n + 1) % 64 for n in range(64)] * 2
    assert not said


@pytest.mark.ci
def test_a_missing_barrier_shows(run: Run) -> None:
    found, _ = run(_NEXT.format(barrier=""), threads=64, blocks=2)
    assert found[:64] != found[64:]  # the second block's threads take turns the other way round


@pytest.mark.ci
def test_named_barriers_count_their_threads(run: Run) -> None:
    found, said = run("setp.lt.u32 %p, %tid, 32; @%p bar.sync 1, 32; mov.b32 %o, 1;", threads=64)
    assert (found, said) == ([1] * 64, "")


#: Where a lane's numbers are in the matrices of m16n8k16, as CUTLASS writes it down (CuTe's layouts of
#: ``SM80_16x8x16``): for thread and for value, sizes and steps; the first dim (m, of B n) runs fastest.
_LAYOUTS = {
    "a": (((4, 8), (2, 2, 2)), ((32, 1), (16, 8, 128)), 16),
    "b": (((4, 8), (2, 2)), ((16, 1), (8, 64)), 8),
    "c": (((4, 8), (2, 2)), ((32, 1), (16, 8)), 16),
}

_PRODUCT = """
.visible .entry product(.param .u64 out, .param .u64 in) {{
    .reg .b32 %a<4>, %b<2>, %tid;
    .reg .f32 %d<4>;
    .reg .b64 %in, %out;
    ld.param.u64 %out, [out];
    ld.param.u64 %in, [in];
    mov.u32 %tid, %tid.x;
    mad.wide.u32 %in, %tid, 24, %in;
    mad.wide.u32 %out, %tid, 16, %out;
    ld.global.v2.u32 {{%a0, %a1}}, [%in];
    ld.global.v2.u32 {{%a2, %a3}}, [%in+8];
    ld.global.v2.u32 {{%b0, %b1}}, [%in+16];
    ld.global.v4.f32 {{%d0, %d1, %d2, %d3}}, [%out];
    mma.sync.aligned.m16n8k16.row.col.f32.{kind}.{kind}.f32
        {{%d0, %d1, %d2, %d3}}, {{%a0, %a1, %a2, %a3}}, {{%b0, %b1}}, {{%d0, %d1, %d2, %d3}};
    st.global.v4.f32 [%out], {{%d0, %d1, %d2, %d3}};
    ret;
}}
"""


def places(name: str) -> tuple[Any, Any]:
    """Row (of B: column) and the other index of each lane's numbers. Shape: (32, numbers) twice."""
    (threads, values), (thread_steps, value_steps), fastest = _LAYOUTS[name]

    def offsets(sizes: tuple[int, ...], steps: tuple[int, ...]) -> Any:
        index = np.unravel_index(np.arange(np.prod(sizes)), sizes, order="F")
        return sum(each * step for each, step in zip(index, steps, strict=True))

    whole = offsets(threads, thread_steps)[:, None] + offsets(values, value_steps)
    return whole % fastest, whole // fastest


@pytest.mark.ci
@pytest.mark.parametrize("kind", ["f16", "bf16"])
def test_tensor_cores_multiply_what_lanes_have(harness: ctypes.CDLL, tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(0)
    a, b, c = (rng.integers(-8, 9, shape).astype(np.float32) for shape in ((16, 16), (8, 16), (16, 8)))

    def stored(numbers: Any) -> Any:
        return numbers.astype(np.float16).view(np.uint16) if kind == "f16" else numbers.view(np.uint32) >> 16

    given = np.concatenate([stored(each[places(name)]) for name, each in (("a", a), ("b", b))], 1)
    given = np.ascontiguousarray(given.astype(np.uint16))
    found = np.ascontiguousarray(c[places("c")])
    addresses = (ctypes.c_void_p * 2)(found.ctypes.data, given.ctypes.data)
    arguments = (ctypes.c_void_p * 2)(*(ctypes.addressof(addresses) + 8 * n for n in range(2)))
    library = compiled(_PRODUCT.format(kind=kind), tmp_path)
    assert harness.run(library.encode(), b"product", 1, 32, 0, arguments) == b""
    assert np.array_equal(found, (a @ b.T + c)[places("c")])


#: Four matrices of 8 x 8 numbers, of which each is its own place; a lane names a row.
_FRAGMENTS = """
    mov.u32 %t, room; shl.b32 %s, %tid, 4; add.u32 %s, %s, %t; mul.lo.u32 %x, %tid, 0x80008; add.u32 %x, %x, 0x10000;
    st.shared.u32 [%s], %x; add.u32 %x, %x, 0x20002; st.shared.u32 [%s+4], %x; add.u32 %x, %x, 0x20002;
    st.shared.u32 [%s+8], %x; add.u32 %x, %x, 0x20002; st.shared.u32 [%s+12], %x; bar.sync 0;
    ldmatrix.sync.aligned.m8n8.x4{how}.shared.b16 {{%x, %y, %z, %o}}, [%s]; {kept}
"""


@pytest.mark.ci
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("matrix", [0, 3])
def test_fragments_are_parts_of_four_matrices(
    harness: ctypes.CDLL, tmp_path: Path, turned: bool, matrix: int
) -> None:
    numbers = np.arange(64).reshape(8, 8) + 64 * matrix
    numbers = numbers.T if turned else numbers
    pairs = numbers.reshape(32, 2)  # lane n has two neighbours of row n // 4
    code = _FRAGMENTS.format(how=".trans" * turned, kept="" if matrix else "mov.b32 %o, %x;")
    code = KERNEL.format(name="kernel", code=code).replace("room;", "wide;", 1)
    library = compiled(".shared .align 16 .b8 wide[512];" + code, tmp_path)
    out, said = launched(harness, library, "kernel", (), 32, 1)
    assert not said
    assert out[:, 0].tolist() == (pairs[:, 0] | pairs[:, 1] << 16).tolist()


_COPIED = """
    st.shared.v4.u32 [room], {%x, %x, %x, %x}; st.shared.v4.u32 [room+16], {%x, %x, %x, %x}; mov.u32 %t, room;
    cp.async.cg.shared.global [%t], [%in], 16, 4; cp.async.commit_group;
    cp.async.ca.shared.global [%t+16], [%in+8], 8; cp.async.commit_group; """


@pytest.mark.ci
@pytest.mark.parametrize(
    ("wait", "expected"),
    [("", [7, 7, 7]), ("cp.async.wait_group 1;", [7, 0, 7]), ("cp.async.wait_all;", [7, 0, 5])],
)
def test_copies_arrive_when_they_are_waited_for(run: Run, wait: str, expected: list[int]) -> None:
    found = [run(_COPIED + f"{wait} ld.shared.u32 %o, [room+{at}];", 7, 5)[0][0] for at in (0, 8, 16)]
    assert found == expected


@pytest.mark.ci
@pytest.mark.parametrize(
    ("code", "threads", "words"),
    [
        (
            "ld.global.v2.u32 {%o, %s}, [%in+4];",
            1,
            "misaligned address, in kernel kernel, block 0,0,0, thread 0,0,0",
        ),
        (
            "setp.eq.u32 %p, %tid, 5; @%p ld.shared.u32 %o, [room+2];",
            8,
            "misaligned address, in kernel kernel, block 0,0,0, thread 5",
        ),
        ("st.shared.u32 [room+256], %x;", 1, "address beyond the block's shared memory"),
        ("ld.global.u32 %o, [%X];", 1, "where nothing is"),
        (
            "setp.lt.u32 %p, %tid, 3; @%p bar.sync 1; @!%p bar.sync 2, 64;",
            64,
            "deadlock: barrier 1 is not reached by all",
        ),
        (
            "setp.eq.u32 %p, %tid, 0; @%p bar.warp.sync 3; @!%p bar.sync 0;",
            32,
            "deadlock: not all lanes of 00000003 meet",
        ),
        ("trap;", 1, "trap"),
        ("mov.u32 %t, room; cp.async.cg.shared.global [%t+8], [%in], 16;", 1, "misaligned address"),
        (
            "mov.u32 %t, room; add.u32 %t, %t, %tid; ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%o}, [%t];",
            32,
            "misaligned address",
        ),
    ],
)
def test_what_a_gpu_would_do_wrong_is_found(run: Run, code: str, threads: int, words: str) -> None:
    assert words in run(code, threads=threads)[1]
    assert run("mov.b32 %o, 3;") == ([3], "")  # and the next kernel is run


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("wgmma.fence.sync.aligned;", "wgmma.fence"),
        ("cvt.rna.tf32.f32 %o, %x;", "tf32"),
        ("add.relu.f32 %o, %x, %y;", "relu"),
        ("fma.rn.relu.bf16 %h, %h, %h, %h;", "relu"),
        ("fma.rn.sat.f16 %h, %h, %h, %h;", "sat"),
        ("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%x}, {%y}, {%z}, {%x};", "m16n8k8"),
        ("mov.b32 %o, %unheard_of;", "%unheard_of"),
        ("tex.1d.v4.f32.f32 {%x, %y, %z, %o}, [%X, {%y}];", "tex.1d"),
    ],
)
def test_what_is_not_known_is_refused_by_name(code: str, name: str) -> None:
    with pytest.raises(UnsupportedError, match=name):
        translated(HEAD + KERNEL.format(name="kernel", code=code))


def test_the_translator_ends_with_an_error_that_names_the_instruction(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "kernel.ptx").write_text(
        HEAD + KERNEL.format(name="kernel", code="wgmma.fence.sync.aligned;")
    )
    assert translator.main(str(tmp_path / "kernel.ptx"), str(tmp_path / "kernel.so")) == 1
    assert "does not know the instruction wgmma.fence" in capfd.readouterr().err
    assert not (tmp_path / "kernel.so").exists()
