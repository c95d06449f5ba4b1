"""What it means when a server, or the client library, says that this user may not."""

from __future__ import annotations

import re
import ssl

API = "$JS.API."
LOCAL_API = "kinitro.api."
"""What a server with an account per role makes of that, on the way out of the role's account."""

_VIOLATION = re.compile(r'permissions violation for (?:publish|subscription) to "([^"]+)"', re.IGNORECASE)


def denial(error: Exception) -> str | None:
    """What is to be mended, if the server or the client will go on saying no: None where it may get better."""
    said = str(error).lower()
    if (subject := forbidden_subject(error)) is not None:
        return f"no right to {subject}: that is for another role"
    if "authorization violation" in said or "authentication" in said:
        return "wrong user or password: correct them in KINITRO_BACKEND_NATS_URL, nats://user:password@host:port"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message}): correct --nats-ca, or the server's name"
    if isinstance(error, ssl.SSLError):
        return f"no TLS there as expected ({error.reason}): set handshake_first on the server, or write nats://"
    if "no ssl context" in said:
        return "it wants TLS: write tls://host:port, and name its authority with --nats-ca"
    return None


def forbidden_subject(error: Exception) -> str | None:
    """Which subject the server has just kept this user from; the client library gives it in small letters."""
    found = _VIOLATION.search(str(error))
    if found is None:
        return None
    subject = found[1]
    return API + subject.removeprefix(LOCAL_API) if subject.startswith(LOCAL_API) else subject
