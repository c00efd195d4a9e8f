"""Asks for a KYC link, waits for the verdict and says it: python3 verify.py USER COUNTRY

It ends when the verdict is final: a webhook can say `verified` before a check of the provider confirms it.
Exit code: 0 verified, 1 rejected, 2 wrong use, 3 failed or took too long.
"""

import http.client
import json
import os
import sys
import time
import uuid
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

URL = os.environ.get("KYC_TRACKER_URL", "http://127.0.0.1:8080")
KEY = os.environ.get("KYC_TRACKER_KEY", "demo_partner_key")
GIVE_UP_AT = time.monotonic() + 30 * 60


class Failed(Exception):
    """Its text says why."""


def ask(path, headers, body=None):
    """Sends a request until it is answered by something else than "come again later"."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(URL + path, data, {"partner-api-key": KEY, **headers})
    failure = "it took too long"
    while time.monotonic() < GIVE_UP_AT:
        pause = 5
        try:
            # The longest wait is 60 seconds.
            with urlopen(request, timeout=75) as answer:
                return json.load(answer), answer.headers["etag"]
        except HTTPError as error:
            if error.code == 304:
                return None, error.headers["etag"]
            problem = json.load(error)
            failure = f"{problem['code']}: {problem['detail']}"
            if error.code not in (429, 503):
                raise Failed(failure) from None
            pause = int(error.headers.get("retry-after", pause))
        except (OSError, http.client.HTTPException) as error:
            failure = f"the service cannot be reached: {error}"
        time.sleep(pause)
    raise Failed(failure)


def verify(user_id, country):
    # The same key for every try, so that no try makes a second link.
    headers = {"content-type": "application/json", "idempotency-key": str(uuid.uuid4())}
    user, etag = ask("/v1/kyc/links", headers, {"userId": user_id, "country": country})
    print(f"startUrl: {user['startUrl']}", flush=True)
    while not user["final"]:
        # Answered as soon as something has changed since the version that is known, or with 304 after a minute.
        path = f"/v1/kyc/users/{quote(user_id, safe='')}?wait=60"
        changed, etag = ask(path, {"if-none-match": etag})
        if changed:
            user = changed
            print(f"status: {user['status']}", flush=True)
    return 0 if user["status"] == "verified" else 1


if __name__ == "__main__":
    if len(sys.argv) != 3:
        print("usage: verify.py USER COUNTRY", file=sys.stderr)
        sys.exit(2)
    try:
        sys.exit(verify(*sys.argv[1:]))
    except Exception as error:  # Uncaught, it would end with 1, which means rejected.
        print(error, file=sys.stderr)
        sys.exit(3)
