"""A shop behind a gateway: PyJWT reads the pass and the proof that it gets, then Node's libraries do.

usage: check.py PUBLIC_URL ROPELINE SECRET_FILE CHECK_MJS

ROPELINE is the command, which finds the gateway by its environment.
"""

import base64
import http.server
import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import jwt

PUBLIC, ROPELINE, SECRET_FILE, NODE_CHECK = sys.argv[1:]
HTML = {"Accept": "text/html"}
seen = []


class Shop(http.server.BaseHTTPRequestHandler):
    """Notes what it gets."""

    def do_GET(self):
        seen.append((self.path, self.headers))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Shows redirects instead of following them."""

    def redirect_request(self, *_):
        return None


OPENER = urllib.request.build_opener(NoRedirect)


def get(path, headers):
    """The answer of the gateway, whatever its status."""
    request = urllib.request.Request(PUBLIC + path, headers=headers)
    try:
        return OPENER.open(request, timeout=20)
    except urllib.error.HTTPError as error:
        return error


def eventually(what, look):
    """What `look` finds, within a bound."""
    for _ in range(200):
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise SystemExit(f"{what} did not happen")


def make_room(name, *flags):
    subprocess.run(
        [ROPELINE, "room", "create", name, "--rate", "600", "--cap", "2000", *flags],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def refused(error, token, key, **wanted):
    """Whether PyJWT refuses the token for this reason."""
    try:
        jwt.decode(token, key, algorithms=["EdDSA"], **wanted)
    except error:
        return True
    return False


def tampered(token):
    head, claims, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(claims + "=="))
    claims["exp"] += 3600
    claims = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return ".".join((head, claims, signature))


def check_with_pyjwt(pass_text, proof_text, headers):
    keys = jwt.PyJWKClient(PUBLIC + "/_line/v1/jwks.json")
    key = keys.get_signing_key_from_jwt(pass_text)
    wanted = {"audience": "doors", "issuer": PUBLIC}
    claims = jwt.decode(pass_text, key, algorithms=["EdDSA"], **wanted)
    assert claims["sub"] == headers["Ropeline-Subject"], claims
    assert claims["token_use"] == "access", claims
    assert refused(jwt.InvalidSignatureError, tampered(pass_text), key, **wanted)
    assert refused(jwt.InvalidAudienceError, pass_text, key, audience="other", issuer=PUBLIC)
    assert refused(jwt.InvalidIssuerError, pass_text, key, audience="doors", issuer="https://a")

    # As docs/API.md has it.
    proof_keys = jwt.PyJWKClient(PUBLIC + "/_line/v1/proof-jwks.json")
    proof_key = proof_keys.get_signing_key_from_jwt(proof_text)
    proof = jwt.decode(proof_text, proof_key, algorithms=["EdDSA"], **wanted)
    assert proof["token_use"] == "proof", proof
    assert proof["method"] == "GET" and proof["path"] == "/checkout?a=1", proof
    assert proof["host"] == headers["X-Forwarded-Host"], proof
    assert proof["jti"] == headers["X-Request-Id"], proof
    assert proof["sub"] == headers["Ropeline-Subject"], proof
    assert 0 < proof["exp"] - proof["iat"] <= 30, proof
    assert refused(jwt.InvalidSignatureError, tampered(proof_text), proof_key, **wanted)
    # None is taken for the other: the keys are apart.
    for client, text in ((keys, proof_text), (proof_keys, pass_text)):
        try:
            client.get_signing_key_from_jwt(text)
        except jwt.PyJWKClientError:
            continue
        raise SystemExit("a proof and a pass have a key in common")


def main():
    shop = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    threading.Thread(target=shop.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{shop.server_port}"
    host = urllib.parse.urlsplit(PUBLIC).hostname
    make_room(
        "doors", "--host", host, "--upstream", address, "--path", "/checkout",
        "--forward-pass", "--sign-requests", "--opens-at", "now",
    )
    eventually("an entry", lambda: get("/checkout?a=1", HTML).status == 200)
    path, headers = seen[-1]
    assert path == "/checkout?a=1", path
    texts = headers["Ropeline-Pass"], headers["Ropeline-Proof"]
    check_with_pyjwt(*texts, headers)
    print("PyJWT verified a pass and a proof, and refused what is neither")

    # The site with the connector need not exist: nobody goes there.
    target = "https://shop.example.org/checkout?a=1"
    make_room(
        "event", "--queueing-method", "passthrough", "--known-user-secret", f"@{SECRET_FILE}",
        "--known-user-target", "https://shop.example.org/checkout",
    )
    query = urllib.parse.urlencode({"target": target})
    entered = get(f"/_line/rooms/event/enter?{query}", HTML)
    location = entered.headers["Location"]
    assert location.startswith(f"{target}&queueittoken="), location
    given = {
        "public": PUBLIC,
        "pass": texts[0],
        "proof": texts[1],
        "subject": headers["Ropeline-Subject"],
        "target": target,
        "token": location.split("queueittoken=")[1],
        "secretFile": SECRET_FILE,
    }
    subprocess.run(["node", NODE_CHECK, json.dumps(given)], check=True)


main()
