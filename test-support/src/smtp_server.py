"""An SMTP server that does as it is told, for tests of mail.

Run by aiosmtpd with this class and the directory in which everything is. Each message that is
taken becomes a file there, in the order of arrival. The file `mood` says how the next are answered:

    take                 250
    put-off              451 to the recipient
    put-off-content      451 to the content
    refuse               550 to the recipient
    refuse-content       550 to the content
    hang                 no answer to the content

A second line of `mood` names an address; then the mood is for that recipient only.
"""

import asyncio
import itertools
import os
import ssl
import sys

HANGS_FOR_SECONDS = 600


class Server:
    def __init__(self, directory):
        self.directory = directory
        self.numbers = itertools.count(len(self.taken()))

    @classmethod
    def from_cli(cls, parser, *arguments):
        return cls(arguments[0])

    def taken(self):
        return [name for name in os.listdir(self.directory) if name.endswith(".eml")]

    def mood(self, recipient):
        try:
            with open(os.path.join(self.directory, "mood"), encoding="utf-8") as file:
                lines = file.read().splitlines()
        except FileNotFoundError:
            return "take"
        if len(lines) > 1 and lines[1] != recipient:
            return "take"
        return lines[0]

    async def handle_RCPT(self, server, session, envelope, address, options):
        mood = self.mood(address)
        if mood == "put-off":
            return "451 4.7.1 come back later"
        if mood == "refuse":
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 fine"

    async def handle_DATA(self, server, session, envelope):
        mood = self.mood(envelope.rcpt_tos[0])
        if mood == "hang":
            await asyncio.sleep(HANGS_FOR_SECONDS)
        if mood == "put-off-content":
            return "451 4.3.0 come back later"
        if mood == "refuse-content":
            return "550 5.7.1 looks like spam"
        name = os.path.join(self.directory, f"{next(self.numbers):06}")
        with open(name + ".tmp", "wb") as file:
            file.write(envelope.original_content)
        os.rename(name + ".tmp", name + ".eml")
        return "250 2.0.0 taken"


def main(port, user, password, directory):
    """Takes mail only after STARTTLS and with this login: the files of the certificate are here."""
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import AuthResult

    def authenticator(server, session, envelope, mechanism, given):
        fits = (given.login, given.password) == (user.encode(), password.encode())
        return AuthResult(success=fits, handled=fits)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain("server.pem", "key.pem")
    controller = Controller(
        Server(directory),
        hostname="127.0.0.1",
        port=int(port),
        tls_context=context,
        require_starttls=True,
        authenticator=authenticator,
        auth_required=True,
        enable_SMTPUTF8=True,
    )
    controller.start()
    asyncio.new_event_loop().run_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
