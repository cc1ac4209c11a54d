"""Values survive the codec exactly; what it cannot carry is named; broken bytes raise one class of error."""

import argparse
import collections
import dataclasses
import datetime
import enum
import math
import pathlib
import random
import struct
import tracemalloc
import types
import zoneinfo

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

import distrt
from distrt.comm.codec import MAX_DEPTH, CodecError, decode, encode
from distrt.comm.codec.kinds import KINDS
from distrt.core.errors import DistributedError
from distrt.nn.parameter import Parameter

DTYPES = (
    "bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128"
).split()


def numpy_dtype(name):
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


def same(first, second):
    """Whether two values are alike in every respect that the codec promises; nan is like nan, and 0.0 unlike -0.0."""
    if type(first) is not type(second):
        return False
    if isinstance(first, distrt.Tensor):
        return first.requires_grad == second.requires_grad and same(first._array, second._array)
    if isinstance(first, np.ndarray | np.generic):
        alike = (first.dtype, first.shape) == (second.dtype, second.shape)
        return alike and first.tobytes() == second.tobytes()
    if isinstance(first, float):
        return struct.pack("<d", first) == struct.pack("<d", second)
    if isinstance(first, complex):
        return same(first.real, second.real) and same(first.imag, second.imag)
    if isinstance(first, dict):
        items = zip(first.items(), second.items(), strict=True)
        return len(first) == len(second) and all(same(one, other) for one, other in items)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, argparse.Namespace | types.SimpleNamespace):
        return same(vars(first), vars(second))
    if isinstance(first, set | frozenset):
        return sorted(map(repr, first)) == sorted(map(repr, second))
    return first == second and repr(first) == repr(second)


def round_trip(value):
    return decode(encode(value))


def arrays():
    shapes = arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
    plain = st.sampled_from([np.dtype(name) for name in DTYPES if name != "bfloat16"])
    half = arrays_of.arrays(np.uint16, shapes).map(lambda array: array.view(ml_dtypes.bfloat16))
    return arrays_of.arrays(plain, shapes) | half


def values(name, shape=(2, 3)):
    return np.arange(math.prod(shape)).reshape(shape).astype(numpy_dtype(name))


SIMPLE = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers().map(lambda number: number**9)
    | st.floats()
    | st.complex_numbers()
    | st.text()
    | st.text(st.characters(categories=["Cs", "L"]))
    | st.binary()
    | st.datetimes(timezones=st.none() | st.just(datetime.UTC))
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.sampled_from([pathlib.Path("/a/b"), pathlib.PurePosixPath(), pathlib.Path("\udcff")])
    | st.sampled_from([getattr(distrt, name) for name in DTYPES])
    | st.sampled_from([distrt.device("cpu"), distrt.device("cuda:1"), distrt.Size([]), distrt.Size([2, 3])])
    | arrays().map(lambda array: array.reshape(-1)[0] if array.size else None)
)
MUTABLE = (
    st.binary().map(bytearray) | arrays() | arrays().map(lambda array: distrt.from_numpy(np.array(array)))
)
VALUES = st.recursive(
    SIMPLE | MUTABLE,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.lists(SIMPLE, max_size=4).map(set)
        | st.lists(SIMPLE, max_size=4).map(frozenset)
        | st.dictionaries(SIMPLE, inner, max_size=4)
        | st.dictionaries(SIMPLE, inner, max_size=4).map(collections.OrderedDict)
        | st.dictionaries(SIMPLE, inner, max_size=4).map(lambda items: collections.defaultdict(list, items))
        | st.dictionaries(SIMPLE, st.integers(), max_size=4).map(collections.Counter)
        | st.dictionaries(st.text(), inner, max_size=4).map(lambda items: _filled(argparse.Namespace, items))
        | st.dictionaries(st.text(), inner, max_size=4).map(
            lambda items: _filled(types.SimpleNamespace, items)
        )
    ),
    max_leaves=12,
)


def _filled(cls, attributes):
    made = cls()
    vars(made).update(attributes)
    return made


@given(VALUES)
def test_every_value_comes_back_as_it_was(value):
    assert same(round_trip(value), value)


@pytest.mark.parametrize("value", [math.nan, -math.nan, -0.0, math.inf, 5e-324, complex(-0.0, math.nan)])
def test_floats_come_back_bit_for_bit(value):
    assert same(round_trip(value), value)


@pytest.mark.parametrize("value", [0, -1, 127, 128, -128, -129, 2**63, -(2**63), 10**1000, -(10**1000)])
def test_integers_of_any_size_come_back(value):
    assert round_trip(value) == value


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (40, 50)])
@pytest.mark.parametrize("name", DTYPES)
def test_arrays_scalars_and_tensors_of_every_dtype_come_back(name, shape):
    array = values(name, shape)
    assert same(round_trip(array), array)
    assert same(round_trip(array[()]), array[()])
    tensor = distrt.from_numpy(array)
    assert same(round_trip(tensor), tensor)


@pytest.mark.parametrize("side", [3, 100])  # in the text, and as a part of its own
@pytest.mark.parametrize(
    "pick",
    [lambda a: a.T, lambda a: a[::2, ::-1], lambda a: np.broadcast_to(a[0], a.shape), np.asfortranarray],
)
@pytest.mark.parametrize("name", ["uint8", "bfloat16", "float32", "complex128"])
def test_arrays_that_are_not_contiguous_come_back_contiguous_and_writable(name, pick, side):
    array = pick(values(name, (side, side)))
    result = round_trip(array)
    assert same(result, array)
    assert result.flags.c_contiguous and result.flags.writeable and result.flags.aligned


def test_a_tensor_keeps_whether_it_requires_grad_and_becomes_a_leaf():
    leaf = distrt.ones(2, requires_grad=True)
    for tensor in (leaf, leaf * 2):
        result = round_trip(tensor)
        assert result.requires_grad and result.is_leaf and same(result._array, tensor._array)
    assert not round_trip(leaf.detach()).requires_grad


@pytest.mark.parametrize(
    "make",
    [
        lambda: distrt.sparse_coo_tensor([[1, 0, 1]], [1.0, 2.0, 3.0], (4,)),
        lambda: distrt.sparse_coo_tensor([[1, 0, 1]], distrt.ones(3, 2).bfloat16(), (4, 2)).requires_grad_(),
        lambda: distrt.eye(40).to_sparse(),
        lambda: distrt.zeros(0, 3).to_sparse(),
        lambda: distrt.eye(3).to_sparse_csr(),
        lambda: distrt.eye(3)[:2].to_sparse_csc().requires_grad_(),
    ],
)
def test_sparse_tensors_come_back(make):
    tensor = make()
    data = encode(tensor)
    result = decode(data)
    assert repr(result) == repr(tensor) and result.shape == tensor.shape
    assert result.requires_grad == tensor.requires_grad and result.layout is tensor.layout
    assert not tensor.is_sparse or result.is_coalesced() == tensor.is_coalesced()
    for end in range(len(data)):
        with pytest.raises(CodecError):
            decode(data[:end])


def test_indices_of_a_sparse_tensor_are_looked_at():
    with pytest.raises(CodecError, match="for dim 0, size is 2 but found index 5"):
        round_trip(distrt.sparse_coo_tensor([[5]], [1.0], (2,)))


def test_a_date_keeps_its_zone_and_its_fold():
    zone = datetime.timezone(datetime.timedelta(hours=-3.5), "somewhere")
    late = datetime.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=zone)
    result = round_trip(late)
    assert result == late and result.fold == 1 and result.tzname() == "somewhere"


def test_a_defaultdict_goes_on_making_values():
    result = round_trip(collections.defaultdict(list, a=[1]))
    result["b"].append(2)
    assert result == {"a": [1], "b": [2]}


def test_an_object_that_occurs_twice_is_one_object_again():
    shared, array = [1], np.ones(3)
    tensor = distrt.ones(2)
    result = round_trip([shared, {"a": shared, "b": [array, array]}, (tensor, tensor), {1}, shared])
    assert result[0] is result[1]["a"] is result[4]
    assert result[1]["b"][0] is result[1]["b"][1]
    assert result[2][0] is result[2][1]


def test_repeated_objects_do_not_multiply():
    value = []
    for _ in range(50):
        value = [value, value]
    assert len(encode(value)) < 2000
    result = decode(encode(value))
    assert result[0] is result[1]


def test_decoded_data_may_come_in_any_contiguous_buffer():
    data = encode({"a": 1})
    assert data.dtype == np.uint8
    for form in (data, bytes(data), bytearray(data), memoryview(bytes(data))):
        assert decode(form) == {"a": 1}


def test_a_large_array_is_copied_once_each_way():
    array = np.zeros((1000, 2000)).T
    tracemalloc.start()
    try:
        data = encode([array, bytes(10)])
        assert tracemalloc.get_traced_memory()[1] < 1.1 * array.nbytes
        tracemalloc.reset_peak()
        decode(data)
        assert tracemalloc.get_traced_memory()[1] < 2.1 * array.nbytes
    finally:
        tracemalloc.stop()


class Colour(enum.IntEnum):
    RED = 1


@dataclasses.dataclass
class Point:
    x: int


class Text(str):
    pass


Pair = collections.namedtuple("Pair", "a b")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (object(), r"cannot encode value: an object of class object\. Convert it"),
        ({"a": [1, 2, {3: Point(1)}]}, r"value\['a'\]\[2\]\[3\]: .*test_codec\.Point\. Send dataclasses"),
        ([Colour.RED], r"value\[0\]: .*Colour\. Send its \.value"),
        ((1, Pair(1, 2)), r"value\[1\]: .*Pair\. Send tuple\(it\) or it\._asdict\(\)"),
        ({Text("a"): 1}, r"value<key>: .*Text"),
        ({"a": {Text("b")}}, r"value\['a'\]<element>: .*Text"),
        (argparse.Namespace(fn=len), r"value\.fn: .*builtin_function_or_method"),
        (np.array([None]), r"numpy\.ndarray with dtype object\. Send numpy\.asarray"),
        (np.ones(2, ">f4"), "with dtype >f4"),
        (np.ones(2, np.longdouble), "with dtype float128|with dtype longdouble"),
        (np.longdouble(1), "numpy.longdouble"),
        (np.array(["a"]), "with dtype <U1"),
        (np.str_("a"), r"numpy\.str_"),
        (collections.defaultdict(lambda: 1), "makes values with <function .*Send dict"),
        (distrt.nn.Linear(1, 1), r"Linear\. Send its state_dict\(\)"),
        ([Parameter(distrt.ones(1))], r"value\[0\]: .*Parameter\. Send it\.detach\(\)"),
        (range(3), "class range"),
        (ValueError("x"), "class ValueError"),
        (datetime.datetime(2026, 1, 1, tzinfo=zoneinfo.ZoneInfo("UTC")), "zoneinfo.ZoneInfo"),
    ],
)
def test_what_cannot_be_encoded_is_named_with_its_place_and_what_to_do(value, text):
    with pytest.raises(TypeError, match=text) as caught:
        encode(value)
    assert "allow_pickle=True" in str(caught.value)


def test_a_value_that_contains_itself_is_refused():
    value = {"a": [1]}
    value["a"].append((2, value))
    with pytest.raises(CodecError, match=r"cannot encode value\['a'\]\[1\]\[1\]: it contains itself"):
        encode(value)


def test_depth_is_limited_alike_on_both_sides():
    deep = nested(MAX_DEPTH)
    assert round_trip(deep) == deep
    with pytest.raises(CodecError, match=f"deeper than {MAX_DEPTH}"):
        encode([deep])
    one = bytes(encode([[]]))
    header, opening = one[:-18], one[-18:-9]
    with pytest.raises(CodecError, match=f"deeper than {MAX_DEPTH}"):
        decode(header + opening * 10**5)


def nested(depth):
    value = 1
    for number in range(depth):
        value = [value] if number % 2 else (value,)
    return value


def test_objects_of_other_classes_are_pickled_where_both_sides_ask_for_it():
    value = [Point(1), Colour.RED]
    value.append(value)
    data = encode(value, allow_pickle=True)
    with pytest.raises(CodecError, match=r"a pickle, .* allow_pickle=True here as well"):
        decode(data)
    result = decode(data, allow_pickle=True)
    assert result[:2] == [Point(1), Colour.RED] and result[2] is result
    with pytest.raises(CodecError, match="a pickle could not be read: "):
        decode(data[:-5], allow_pickle=True)


def test_nothing_is_pickled_that_need_not_be(monkeypatch):
    monkeypatch.setattr("pickle.dump", None)
    assert decode(encode({"a": 1}, allow_pickle=True)) == {"a": 1}


def examples(random_):
    """Encoded values that hold every kind."""
    tensors = [distrt.ones(2, requires_grad=True), distrt.arange(600), np.float32(2), np.zeros((2, 0), bool)]
    times = [datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC), datetime.timedelta(1, 2, 3)]
    shared = [True, None, -5, 2.5, 1j, "é\udcff", b"x", bytearray(b"y"), datetime.time(1), datetime.date.max]
    value = {
        "sets": [{1, (2, "a")}, frozenset([b"q"]), shared, shared],
        ("k", 1): [
            collections.OrderedDict(a=1),
            collections.Counter("aab"),
            collections.defaultdict(int, b=2),
        ],
        "ns": [argparse.Namespace(lr=0.1, names=["a"]), types.SimpleNamespace(x=tensors)],
        "times": times,
        "rest": [pathlib.Path("a/b"), pathlib.PurePosixPath("c"), distrt.Size([1, 2]), distrt.device("cpu")],
        "types": [distrt.bfloat16, np.ones(2, ml_dtypes.bfloat16), values("bool")],
    }
    parts = [value, *value.values(), *tensors, *times, *value["ns"], *value["rest"]]
    return [bytes(encode(part)) for part in [*parts, random_.randbytes(5000)]]


def test_the_examples_hold_every_kind():
    whole = examples(random.Random(0))[0]
    assert all(kind.tag in whole for kind in KINDS)


def check_broken(data):
    try:
        decode(data)
    except CodecError as error:
        assert isinstance(error, DistributedError | ValueError) and str(error)


def test_every_truncation_is_refused(seed):
    for data in examples(random.Random(seed)):
        for end in range(0, len(data), max(1, len(data) // 500)):
            with pytest.raises(CodecError):
                decode(data[:end])


def test_bytes_that_follow_are_refused():
    with pytest.raises(CodecError, match="2 bytes follow"):
        decode(bytes(encode(1)) + b"NN")


def test_corrupted_bytes_give_a_value_or_the_one_error(seed):
    random_ = random.Random(seed)
    samples = examples(random_)
    for _ in range(20000):
        data = bytearray(random_.choice(samples))
        for _ in range(random_.choice((1, 1, 2, 5))):
            place = random_.randrange(15, len(data))
            data[place] = random_.choice(
                (0, 1, 255, random_.randrange(256), data[random_.randrange(len(data))])
            )
        if random_.random() < 0.3:
            start, length = random_.randrange(15, len(data)), random_.randrange(20)
            del data[start : start + length]
        check_broken(data)


@given(st.binary(max_size=200))
def test_noise_gives_a_value_or_the_one_error(noise):
    header = bytes(encode(None))[:-1]
    check_broken(header + noise)
    for kind in KINDS:
        check_broken(header + kind.tag + noise)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.tag.decode()}-{kind.cls.__name__}")
@pytest.mark.parametrize("length", [2**64 - 1, 2**62, 2**31, 10**7])
def test_a_length_that_is_not_there_takes_no_memory(kind, length):
    header = bytes(encode(None))[:-1]
    bodies = [
        struct.pack("<Q", length) * 4,
        b"\5" + struct.pack("<Q", length) * 4,
        b"\5\2" + struct.pack("<Q", length) * 2,
        b"\5\2" + struct.pack("<QQ", 0, length),
        b"\0\5\2" + struct.pack("<QQ", length, length),
    ]
    tracemalloc.start()
    try:
        for body in bodies:
            check_broken(header + kind.tag + body)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_a_bool_that_is_neither_true_nor_false_is_refused():
    data = encode(np.zeros(3, bool))
    data[-1] = 2
    with pytest.raises(CodecError, match="neither 0 nor 1"):
        decode(data)


def test_a_list_cannot_be_a_key():
    data = bytes(encode({(): 1})).replace(b"(" + bytes(8), b"[" + bytes(8))
    with pytest.raises(CodecError, match="unhashable"):
        decode(data)


def test_foreign_bytes_are_refused():
    for data in (b"", b"\x80\x04N.", np.empty(0, np.uint8), bytes(1000)):
        with pytest.raises(CodecError, match="no encoded value"):
            decode(data)
