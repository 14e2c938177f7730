"""Solves our challenges with ALTCHA's library, and has it judge what our solver makes."""

import base64
import json
import subprocess
import sys

import altcha

PROGRAM = ["cargo", "run", "--quiet", "-p", "web", "--example", "proof_of_work", "--"]


def ours(*arguments: str) -> str:
    done = subprocess.run(PROGRAM + list(arguments), check=True, capture_output=True, text=True)
    return done.stdout.strip()


def main() -> None:
    key = "ropeline test key of 32 bytes!!!"
    # Our challenge, their solver, our judgement.
    challenge = json.loads(ours("issue", key))
    found = altcha.solve_challenge(
        challenge["challenge"], challenge["salt"], challenge["algorithm"], challenge["maxnumber"], 0
    )
    assert found is not None, "their solver finds nothing"
    fields = {name: challenge[name] for name in ("algorithm", "challenge", "salt", "signature")}
    proof = base64.b64encode(json.dumps({**fields, "number": found.number}).encode()).decode()
    assert ours("verify", key, proof) == "verified", "our judgement refuses their solution"
    # Their judgement of it and of our solver's solution.
    solved = ours("solve", json.dumps(challenge))
    for payload in (proof, solved):
        good, error = altcha.verify_solution(payload, key, check_expires=True)
        assert good, f"their judgement refuses it: {error}"
    tampered = json.loads(base64.b64decode(proof))
    tampered["number"] += 1
    bad = base64.b64encode(json.dumps(tampered).encode()).decode()
    assert not altcha.verify_solution(bad, key)[0]
    assert ours("verify", key, bad) == "refused"
    print("ALTCHA's library and ours agree.")


if __name__ == "__main__":
    sys.exit(main())
