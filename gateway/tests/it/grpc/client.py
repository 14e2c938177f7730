"""Calls the service of server.py through a gateway, and fails where an answer is not as it should be.

    python3 client.py ADDRESS CASE [PASS]
"""

import queue
import sys
import threading
import time

import grpc

ADDRESS, CASE = sys.argv[1:3]
PASS = sys.argv[3:]
SIZE_MAX = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
OPTIONS = [*SIZE_MAX, ("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
CHANNEL = grpc.insecure_channel(ADDRESS, options=OPTIONS)
FIELDS = [("ropeline-pass", token) for token in PASS]


def path(name):
    return f"/eras.Cart/{name}"


def call(name, request, **more):
    return CHANNEL.unary_unary(path(name)).with_call(request, timeout=20, metadata=FIELDS, **more)


def refusal(name, request=b"", timeout=20):
    try:
        CHANNEL.unary_unary(path(name))(request, timeout=timeout, metadata=FIELDS)
    except grpc.RpcError as error:
        return error
    raise AssertionError(f"{name} was answered")


def same(found, expected):
    assert found == expected, f"{found!r} is not {expected!r}"


def unary():
    FIELDS.extend([("x-asked", "yes"), ("x-asked-bin", b"\x00\x01")])
    answer, about = call("Add", b"one")
    same(answer, b"one")
    first = dict(about.initial_metadata())
    same(first["x-answered"], "yes")
    same(first["x-saw-x-asked"], "yes")
    assert "x-saw-x-forwarded-for" in first, first
    last = dict(about.trailing_metadata())
    same((last["x-end"], last["x-end-bin"]), ("told", b"\x00\xff"))
    same(call("Add", b"")[0], b"")


def status():
    error = refusal("Fail")
    same((error.code(), error.details()), (grpc.StatusCode.NOT_FOUND, "no such cart: ä%"))
    same(refusal("Nothing").code(), grpc.StatusCode.UNIMPLEMENTED)


def large():
    """Far more than any window, both ways, and a stream that is longer than all buffers."""
    message = bytes(range(256)) * 4096 * 20
    same(call("Add", message)[0], message)
    parts = CHANNEL.unary_stream(path("Count"))(b"1000000 40", timeout=60, metadata=FIELDS)
    same([(len(part), part[0]) for part in parts], [(1000000, at) for at in range(40)])
    sent = (b"x" * 500000 for _ in range(40))
    same(CHANNEL.stream_unary(path("Sum"))(sent, timeout=60, metadata=FIELDS), b"20000000")


def talk():
    """Each word is heard before the next one is said, so nothing waits for more."""
    said = queue.Queue()
    answers = CHANNEL.stream_stream(path("Talk"))(iter(said.get, None), timeout=60, metadata=FIELDS)
    for at in range(200):
        word = b"word %d" % at
        said.put(word)
        same(next(answers), b"heard " + word)
    said.put(None)
    same(list(answers), [])
    same(answers.code(), grpc.StatusCode.OK)


def cancel():
    hanging = CHANNEL.unary_stream(path("Hang"))(b"by-cancel", metadata=FIELDS)
    same(next(hanging), b"left -1")
    hanging.cancel()
    before = CHANNEL.unary_unary(path("Silent")).future(b"before-the-head", metadata=FIELDS)
    threading.Timer(0.5, before.cancel).start()
    try:
        before.result()
        raise AssertionError("it was answered")
    except grpc.FutureCancelledError:
        pass
    # While the connection goes on.
    until = time.monotonic() + 15
    while call("Over", b"")[0] != b"before-the-head,by-cancel":
        assert time.monotonic() < until, "the service was not told"
        time.sleep(0.05)


def deadline():
    hanging = CHANNEL.unary_stream(path("Hang"))(b"by-deadline", timeout=3, metadata=FIELDS)
    assert next(hanging) in (b"left 2", b"left 3"), "the deadline was not passed on"
    try:
        next(hanging)
        raise AssertionError("it went on")
    except grpc.RpcError as error:
        same(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)


def many():
    """As many calls as one fan may have at once, next to each other."""
    words = [queue.Queue() for _ in range(60)]
    calls = [CHANNEL.stream_stream(path("Talk"))(iter(said.get, None), metadata=FIELDS) for said in words]
    for round in range(2):
        for at, said in enumerate(words):
            said.put(b"%d" % at)
        for at, answers in enumerate(calls):
            same(next(answers), b"heard %d" % at)
    for said in words:
        said.put(None)
    for answers in calls:
        same(list(answers), [])


def full():
    """One call after the other, all of which last: for the last ones a connection has no room."""
    channels = [CHANNEL, grpc.insecure_channel(ADDRESS, options=OPTIONS)]
    calls = []
    for at in range(150):
        asked = time.monotonic()
        calls.append(channels[at % 2].unary_stream(path("Hang"))(b"%d" % at, timeout=60, metadata=FIELDS))
        assert next(calls[-1]).startswith(b"left "), at
        # The service would give up the first of them after 30 s.
        assert time.monotonic() - asked < 15, f"call {at} had to wait"
    for hanging in calls:
        hanging.cancel()


def unread():
    """Calls whose answers nobody reads hold up no other."""
    others = grpc.insecure_channel(ADDRESS, options=OPTIONS)
    slow = [others.unary_stream(path("Count"))(b"1000000 40", timeout=60, metadata=FIELDS) for _ in range(8)]
    for answers in slow:
        next(answers)
    time.sleep(0.5)
    message = b"x" * 3000000
    same(call("Add", message)[0], message)
    for answers in slow:
        answers.cancel()


def enough():
    error = refusal("Enough")
    same((error.code(), error.details()), (grpc.StatusCode.UNAVAILABLE, "too much"))


def refused():
    error = refusal("Add")
    same((error.code(), error.details()), (grpc.StatusCode.UNAUTHENTICATED, "Join the line and come back with a pass."))
    about = {**dict(error.initial_metadata() or ()), **dict(error.trailing_metadata() or ())}
    same(about["ropeline-problem"], "pass-required")
    assert about["ropeline-join-url"].startswith("/_line/rooms/eras?to="), about
    answers = CHANNEL.stream_stream(path("Talk"))(iter([b"word"]), timeout=20, metadata=FIELDS)
    try:
        next(answers)
        raise AssertionError("it was answered")
    except grpc.RpcError as error:
        same(error.code(), grpc.StatusCode.UNAUTHENTICATED)


def down():
    error = refusal("Add")
    same((error.code(), error.details()), (grpc.StatusCode.UNAVAILABLE, "The service could not be reached."))


def ended():
    """The session ends while the call goes on."""
    said = queue.Queue()
    answers = CHANNEL.stream_stream(path("Talk"))(iter(said.get, None), timeout=60, metadata=FIELDS)
    said.put(b"word")
    same(next(answers), b"heard word")
    print("inside", flush=True)
    try:
        next(answers)
        raise AssertionError("it went on")
    except grpc.RpcError as error:
        same((error.code(), error.details()), (grpc.StatusCode.UNAVAILABLE, "The session is over."))
    said.put(None)


globals()[CASE]()
print("good", flush=True)
