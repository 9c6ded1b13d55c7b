"""The shelf by HTTP: GET /books, GET /books/ID, POST /books, DELETE /books/ID, and a page for people."""

import http.server
import json
import pathlib
import sys

from store import Refused, Store

PAGE = (pathlib.Path(__file__).resolve().parent.parent / "public" / "index.html").read_bytes()


class Shelf(http.server.BaseHTTPRequestHandler):
    # An answer goes out as a whole.
    wbufsize = -1

    def do_GET(self):
        with Store.of_environment() as store:
            if self.path == "/":
                self.reply(200, PAGE, "text/html; charset=utf-8")
            elif self.path == "/health":
                self.reply_json(200, {"database": store.ask("PING")})
            elif self.path == "/books":
                self.reply_json(200, [book(store, number) for number in store.ask("LRANGE", "books", 0, -1)])
            elif found := self.named(store):
                self.reply_json(200, found)
            else:
                self.reply_json(404, {"error": "there is no such book"})

    def do_POST(self):
        text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            told = json.loads(text)
            fields = [word for name in ("title", "author", "year") for word in (name, told[name])]
        except (ValueError, KeyError, TypeError):
            return self.reply_json(400, {"error": "a book has a title, an author and a year"})
        with Store.of_environment() as store:
            number = store.ask("INCR", "last-book")
            store.ask("HSET", f"book:{number}", *fields)
            store.ask("RPUSH", "books", number)
            self.reply_json(201, book(store, number))

    def do_DELETE(self):
        with Store.of_environment() as store:
            if not (found := self.named(store)):
                return self.reply_json(404, {"error": "there is no such book"})
            store.ask("LREM", "books", 0, found["id"])
            store.ask("DEL", f"book:{found['id']}")
            self.reply_json(200, found)

    def named(self, store):
        number = self.path.removeprefix("/books/")
        return book(store, int(number)) if number.isdecimal() else None

    def reply_json(self, status, value):
        self.reply(status, json.dumps(value).encode() + b"\n", "application/json")

    def reply(self, status, body, kind):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (OSError, Refused) as error:
            self.close_connection = True
            self.reply_json(503, {"error": f"the database: {error}"})

    def log_message(self, form, *values):
        # Its probe asks all the time.
        if self.path != "/health":
            print(form % values)


def book(store, number):
    found = store.ask("HGETALL", f"book:{number}")
    return {"id": int(number), **dict(zip(found[::2], found[1::2]))} if found else None


if __name__ == "__main__":
    port = int(sys.argv[1])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Shelf)
    print(f"the shelf is at http://127.0.0.1:{port}/")
    server.serve_forever()
