"""Asks the API as a client would, and looks into the database behind its back."""

import json
import os
import pathlib
import sys
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "api"))
from store import Store  # noqa: E402

SHELF = f"http://127.0.0.1:{os.environ['API_PORT']}"


def ask(path, method="GET", told=None):
    data = None if told is None else json.dumps(told).encode()
    request = urllib.request.Request(SHELF + path, data=data, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode()


class Shelf(unittest.TestCase):
    def test_what_the_migrations_brought_is_there(self):
        books = json.loads(ask("/books"))
        self.assertIn({"id": 2, "title": "Invisible Cities", "author": "Italo Calvino", "year": "1972"}, books)

    def test_a_new_book_goes_through_the_database(self):
        book = json.loads(ask("/books", "POST", {"title": "Orlando", "author": "Virginia Woolf", "year": 1928}))
        self.addCleanup(ask, f"/books/{book['id']}", "DELETE")
        self.assertEqual(json.loads(ask(f"/books/{book['id']}")), book)
        with Store.of_environment() as store:
            self.assertEqual(store.ask("HGET", f"book:{book['id']}", "author"), "Virginia Woolf")

    def test_a_book_that_is_none_is_refused(self):
        with self.assertRaises(urllib.error.HTTPError) as refused:
            ask("/books", "POST", {"title": "Orlando"})
        self.assertEqual(refused.exception.code, 400)
        refused.exception.close()

    def test_the_page_has_its_style_in_it(self):
        self.assertIn("font-family", ask("/"))


if __name__ == "__main__":
    unittest.main()
