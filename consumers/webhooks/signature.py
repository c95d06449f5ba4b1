"""Headers by which a receiver knows who sent a webhook, and which one (https://www.standardwebhooks.com, v1)."""

from __future__ import annotations

import base64
import hmac

SECRET_PREFIX = "whsec_"  # noqa: S105  # what every secret of this kind begins with


def headers(secret: bytes, identity: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """Of one attempt. `identity` is the same in every attempt, `timestamp_s` (Unix time) is the attempt's own."""
    content = f"{identity}.{timestamp_s}.".encode() + body
    signature = base64.b64encode(hmac.digest(secret, content, "sha256")).decode()
    return {
        "webhook-id": identity,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": f"v1,{signature}",
    }


def spelled(secret: bytes) -> str:
    """The secret as receivers' libraries take it."""
    return SECRET_PREFIX + base64.b64encode(secret).decode()
