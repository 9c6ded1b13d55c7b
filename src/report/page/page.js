(() => {
"use strict";
const table = document.getElementById("tasks"), body = table.tBodies[0];
const rows = Array.from(body.rows), about = document.getElementById("about");
const row = (n) => document.getElementById("t" + n);
const links = new Map();
for (const a of document.querySelectorAll(".bars a")) links.set(a.getAttribute("href").slice(2), a);

for (const time of document.querySelectorAll("time")) {
  time.title = time.textContent;
  time.textContent = new Date(time.dateTime).toLocaleString();
}

// Sorting: numbers by what they stand for, the rest as text; once more turns it around.
const key = (r, column) => {
  const cell = r.cells[column];
  if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
  return column >= 1 && column <= 4 ? -1 : cell.textContent;
};
Array.from(table.tHead.rows[0].cells).forEach((th, column) => {
  const button = document.createElement("button");
  button.append(...th.childNodes);
  th.append(button);
  button.addEventListener("click", () => {
    const first = column >= 1 && column <= 3 && column !== 1 ? "descending" : "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const order = th.getAttribute("aria-sort") === first ? other : first;
    for (const one of table.tHead.rows[0].cells) one.removeAttribute("aria-sort");
    th.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const keyed = rows.map((r) => [key(r, column), r]);
    keyed.sort(([a], [b]) => sign * (typeof a === "string" ? a.localeCompare(b) : a - b));
    body.append(...keyed.map(([, r]) => r));
  });
});

// Filtering: every word has to be somewhere in the row.
const filter = document.createElement("p"), input = document.createElement("input"), left = document.createElement("span");
filter.className = "filter";
input.type = "search";
input.placeholder = "Filter tasks: name, status, reason";
input.setAttribute("aria-label", input.placeholder);
filter.append(input, left);
table.parentElement.before(filter);
const texts = rows.map((r) => r.textContent.toLowerCase());
input.addEventListener("input", () => {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  rows.forEach((r, at) => {
    r.hidden = !words.every((word) => texts[at].includes(word));
    shown += r.hidden ? 0 : 1;
  });
  left.textContent = words.length ? shown + " of " + rows.length : "";
});

// What a bar stands for, and what it waited for.
if (about) {
  let near = [];
  const name = (n) => row(n).cells[0].querySelector("code").textContent;
  const tell = (n) => {
    const r = row(n);
    if (!r) return;
    near.forEach((a) => a.classList.remove("near"));
    const after = (r.dataset.a || "").split(" ").filter(Boolean);
    near = after.map((n) => links.get(n)).filter(Boolean);
    near.forEach((a) => a.classList.add("near"));
    const text = (at) => r.cells[at].textContent.trim();
    const head = document.createElement("b"), rest = document.createElement("span");
    head.textContent = name(n);
    const parts = [text(5), text(2) && text(2) + " from " + text(1), text(3) && "waited " + text(3), text(4) && "slot " + text(4)];
    rest.textContent = "  " + parts.filter(Boolean).join(" · ");
    about.replaceChildren(head, rest);
    const add = (label, value) => value && about.append(document.createElement("br"), label + value);
    const command = r.cells[0].querySelector("small");
    add("", command && command.textContent);
    add("why: ", text(6));
    const names = after.slice(-6).map(name).join(", ");
    add("after: ", names && names + (after.length > 6 ? " (+" + (after.length - 6) + ")" : ""));
  };
  about.hidden = false;
  about.textContent = "Point at a bar to see what it stands for; follow it to its row in the table.";
  const chart = document.getElementById("chart");
  const heard = (event) => {
    const a = event.target.closest && event.target.closest(".bars a");
    if (a) tell(a.getAttribute("href").slice(2));
  };
  chart.addEventListener("mouseover", heard);
  chart.addEventListener("focusin", heard);
}
})();
