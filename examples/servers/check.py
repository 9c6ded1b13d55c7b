"""Holds what the three servers made against each other: the data fit the tables, and the page says what they say."""
import sqlite3
from pathlib import Path

database = sqlite3.connect(":memory:")
database.executescript(Path("out/schema.sql").read_text(encoding="utf-8"))
database.executescript(Path("out/seed.sql").read_text(encoding="utf-8"))
page = Path("out/report.md").read_text(encoding="utf-8")
owed = database.execute(
    'SELECT name, sum(cents) FROM "order" JOIN customer ON customer.id = customer WHERE NOT paid GROUP BY name'
).fetchall()
assert owed, "nobody owes anything"
for name, cents in owed:
    assert f"- {name}: {cents / 100:.2f}" in page, f"the page does not say what {name} owes"
(turnover,) = database.execute('SELECT sum(cents) FROM "order"').fetchone()
said = sum(float(line.split("|")[3]) for line in page.splitlines() if line.startswith("| 2"))
assert round(said * 100) == turnover, f"the page adds up to {said}"
assert "pub struct Order" in Path("out/types.rs").read_text(encoding="utf-8")
print(f"{len(owed)} customers owe, {turnover / 100:.2f} in all: the page and the database agree")
