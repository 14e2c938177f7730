"""A service of gRPC, without message classes: bytes in, bytes out.

    python3 server.py [CERTIFICATE KEY]

Prints its port, and then a line for each call that was cancelled.
"""

import sys
import threading
from concurrent import futures

import grpc

SIZE_MAX = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
told = threading.Lock()
cancelled = set()


def say(*words):
    with told:
        print(*words, flush=True)


def is_over(request):
    cancelled.add(request)
    say("cancelled", request.decode())


def fields_of(context):
    return {key: value for key, value in context.invocation_metadata()}


def add(request, context):
    fields = fields_of(context)
    seen = [(f"x-saw-{key}", value) for key, value in fields.items() if key.startswith(("x-", "ropeline-"))]
    context.send_initial_metadata([("x-answered", "yes"), ("x-saw-authority", fields.get(":authority", "")), *seen])
    context.set_trailing_metadata([("x-end", "told"), ("x-end-bin", b"\x00\xff")])
    return request


def fail(request, context):
    context.abort(grpc.StatusCode.NOT_FOUND, "no such cart: ä%")


def enough(request, context):
    context.abort(grpc.StatusCode.UNAVAILABLE, "too much")


def talk(requests, context):
    context.add_callback(lambda: say("a talk is over"))
    for request in requests:
        yield b"heard " + request


def count(request, context):
    size, number = (int(word) for word in request.split())
    for at in range(number):
        yield bytes([at % 256]) * size


def total(requests, context):
    return str(sum(len(request) for request in requests)).encode()


def hang(request, context):
    over = threading.Event()
    context.add_callback(over.set)
    left = context.time_remaining()
    # Without a deadline it is a hundred years.
    yield b"left %d" % (left if left is not None and left < 1e6 else -1)
    over.wait(30)
    is_over(request)


def silent(request, context):
    over = threading.Event()
    context.add_callback(over.set)
    over.wait(30)
    is_over(request)
    return b""


def over_until_now(request, context):
    return b",".join(sorted(cancelled))


HANDLERS = {
    "Add": grpc.unary_unary_rpc_method_handler(add),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Enough": grpc.unary_unary_rpc_method_handler(enough),
    "Talk": grpc.stream_stream_rpc_method_handler(talk),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Sum": grpc.stream_unary_rpc_method_handler(total),
    "Hang": grpc.unary_stream_rpc_method_handler(hang),
    "Over": grpc.unary_unary_rpc_method_handler(over_until_now),
    "Silent": grpc.unary_unary_rpc_method_handler(silent),
}


def main():
    options = [*SIZE_MAX, ("grpc.max_concurrent_streams", 100)]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=300), options=options)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("eras.Cart", HANDLERS)])
    if len(sys.argv) > 2:
        certificate, key = (open(name, "rb").read() for name in sys.argv[1:3])
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, certificate)]))
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    say(port)
    server.wait_for_termination()


main()
