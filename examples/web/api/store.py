"""As much of a Redis client as the shelf needs: one command at a time, over one connection."""

import os
import socket


class Refused(Exception):
    """The database answered with an error."""


class Store:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(path)
        self.answers = self.socket.makefile("rb")

    @classmethod
    def of_environment(cls):
        return cls(os.path.join(os.environ["DEVENV_RUNTIME"], "redis.sock"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.answers.close()
        self.socket.close()

    def ask(self, *words):
        words = [str(word).encode() for word in words]
        parts = [b"*%d\r\n" % len(words)]
        parts += [b"$%d\r\n%s\r\n" % (len(word), word) for word in words]
        self.socket.sendall(b"".join(parts))
        return self.answer()

    def answer(self):
        line = self.answers.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the database has hung up")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise Refused(rest.decode())
        if kind == b"+":
            return rest.decode()
        if kind == b":":
            return int(rest)
        if int(rest) < 0:
            return None
        if kind == b"$":
            return self.answers.read(int(rest) + 2)[:-2].decode()
        return [self.answer() for _ in range(int(rest))]
