"""A real SMTP server for tests (aiosmtpd). Arguments: folder, security (plain, starttls, tls).

Prints its port, then one JSON line per answer to a recipient or mail. What it is told decides
what it answers: busy@… is refused with 451 once, gone@… with 550 always. With starttls or tls it
wants the login user/secret and makes its certificate as <folder>/cert.pem.
"""

import asyncio
import json
import pathlib
import ssl
import subprocess
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Handler:
    def __init__(self, folder, is_tls_from_start):
        self.folder = folder
        self.is_tls_from_start = is_tls_from_start
        self.count = 0
        self.refused = set()

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("gone@"):
            say(event="refused", code=550, to=address)
            return "550 5.1.1 no such user"
        if address.startswith("busy@") and address not in self.refused:
            self.refused.add(address)
            say(event="refused", code=451, to=address)
            return "451 4.3.2 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        self.count += 1
        file = self.folder / f"{self.count}.eml"
        file.write_bytes(envelope.content)
        say(event="stored", file=str(file), to=envelope.rcpt_tos, tls=self.is_tls_from_start or session.ssl is not None,
            login=bool(session.authenticated))
        return "250 OK"


def say(**line):
    print(json.dumps(line), flush=True)


def certificate(folder):
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", key, "-out", cert,
         "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    return context


def login(server, session, envelope, mechanism, data):
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"user", b"secret")
    if not right:
        say(event="refused", code=535)
    return AuthResult(success=right, handled=False)


async def main():
    folder, security = pathlib.Path(sys.argv[1]), sys.argv[2]
    handler = Handler(folder, security == "tls")
    options, outer = {}, None
    if security != "plain":
        context = certificate(folder)
        options = {"authenticator": login, "auth_required": True}
        if security == "starttls":
            options |= {"tls_context": context, "require_starttls": True}
        else:
            outer = context
            options |= {"auth_require_tls": False}
    make = lambda: SMTP(handler, hostname="localhost", **options)
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0, ssl=outer)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
