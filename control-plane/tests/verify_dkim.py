"""Verifies every DKIM signature of a mail with dkimpy. Arguments: mail, domain, then pairs of
selector and private key in PEM. DNS is what those keys' public halves would be. Prints JSON: for
each signature its algorithm and whether it holds, and whether any holds after a change."""

import base64
import json
import re
import subprocess
import sys

import dkim


def public(path):
    der = subprocess.run(["openssl", "pkey", "-in", path, "-pubout", "-outform", "DER"],
                         check=True, capture_output=True).stdout
    # RFC 8463 §4.2: of an Ed25519 key the 32 bytes alone.
    if len(der) == 44:
        return f"v=DKIM1; k=ed25519; p={base64.b64encode(der[-32:]).decode()}"
    return f"v=DKIM1; k=rsa; p={base64.b64encode(der).decode()}"


path, domain, *pairs = sys.argv[1:]
records = {f"{selector}._domainkey.{domain}.": public(key)
           for selector, key in zip(pairs[::2], pairs[1::2])}


def dns(name, timeout=5):
    return records.get(name.decode() if isinstance(name, bytes) else name, "").encode()


def verify(mail):
    results = []
    for at in range(len(re.findall(rb"(?im)^dkim-signature:", mail))):
        checker = dkim.DKIM(mail)
        try:
            holds = checker.verify(idx=at, dnsfunc=dns)
        except dkim.DKIMException:
            holds = False
        fields = checker.signature_fields or {}
        results.append({"algorithm": fields.get(b"a", b"").decode(), "holds": holds,
                        "signed": fields.get(b"h", b"").decode().lower().split(":")})
    return results


with open(path, "rb") as file:
    mail = file.read()
head, body = mail.split(b"\r\n\r\n", 1)
print(json.dumps({
    "signatures": verify(mail),
    "changed_body": [one["holds"] for one in verify(head + b"\r\n\r\nX" + body)],
    "changed_subject": [one["holds"] for one in
                        verify(re.sub(rb"(?m)^Subject: ", b"Subject: X", head) + b"\r\n\r\n" + body)],
}))
