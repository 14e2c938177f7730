"""Verifies webhooks of a running gateway with the library of Standard Webhooks, as a receiver would.

    verify_webhook.py OPS_URL ADMIN_TOKEN

The gateway has to run with ROPELINE_WEBHOOK_PRIVATE_TARGETS=true.
"""

import json
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

CALLS = []


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        CALLS.append((body, dict(self.headers.items())))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def refuses(secret, body, headers):
    try:
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return True
    return False


def main(ops_url, token):
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def ask(method, path, body=None):
        request = urllib.request.Request(
            f"{ops_url}/admin/v1/subscriptions{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"authorization": f"Bearer {token}", "content-type": "application/json"},
        )
        answer = urllib.request.urlopen(request, timeout=30).read()
        return json.loads(answer) if answer else None

    def tested(one):
        result = ask("POST", f"/{one}/test")
        assert result["taken"], result
        return CALLS.pop()

    made = ask("POST", "", {"url": f"http://127.0.0.1:{server.server_port}/hook"})
    one, first = made["subscriptionId"], made["secret"]
    body, headers = tested(one)
    event = Webhook(first).verify(body, headers)
    assert event["type"] == "subscription.test" and event["data"]["subscriptionId"] == one, event
    assert refuses(first, body + b" ", headers), "a changed body was taken"

    second = ask("POST", f"/{one}/rotate", {})["secret"]
    body, headers = tested(one)
    Webhook(first).verify(body, headers)
    Webhook(second).verify(body, headers)
    third = ask("POST", f"/{one}/rotate", {"overlapSeconds": 0})["secret"]
    body, headers = tested(one)
    Webhook(third).verify(body, headers)
    assert refuses(second, body, headers), "a secret that ended was taken"
    ask("DELETE", f"/{one}")
    server.shutdown()


main(*sys.argv[1:])
