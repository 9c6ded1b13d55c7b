"use strict";
(() => {
  const find = (id) => document.getElementById(id);
  const [view, panel, search, count] = ["view", "details", "search", "count"].map(find);
  const svg = view.querySelector("svg");
  const tasks = JSON.parse(find("tasks").textContent);
  const nodes = [...svg.querySelectorAll("g[data-task]")];
  const up = tasks.map(() => []), down = tasks.map(() => []);
  for (const edge of svg.querySelectorAll("g[data-from]")) {
    const [from, to] = [+edge.dataset.from, +edge.dataset.to];
    up[to].push({ task: from, edge });
    down[from].push({ task: to, edge });
  }

  // What is seen of the picture, in its own units.
  const whole = { width: svg.viewBox.baseVal.width, height: svg.viewBox.baseVal.height };
  let seen = { x: 0, y: 0, scale: 1 };
  const size = () => ({ width: Math.max(view.clientWidth, 1), height: Math.max(view.clientHeight, 1) });
  const show = () => {
    const { width, height } = size();
    svg.setAttribute("viewBox", `${seen.x} ${seen.y} ${width / seen.scale} ${height / seen.scale}`);
  };
  const ground = svg.querySelector(".ground");
  ground.remove(); // The page has one, however far somebody moves.
  const fit = () => {
    const { width, height } = size();
    const scale = Math.min(width / whole.width, height / whole.height, 1.4);
    seen = { scale, x: (whole.width - width / scale) / 2, y: (whole.height - height / scale) / 2 };
    show();
  };
  const smallest = () => Math.min(0.02, size().width / whole.width / 2);
  const zoom = (factor, at) => {
    const { width, height } = size();
    const point = at || { x: width / 2, y: height / 2 };
    const scale = Math.min(6, Math.max(smallest(), seen.scale * factor));
    seen.x += point.x / seen.scale - point.x / scale;
    seen.y += point.y / seen.scale - point.y / scale;
    seen.scale = scale;
    show();
  };
  const move = (dx, dy) => {
    seen.x += dx / seen.scale;
    seen.y += dy / seen.scale;
    show();
  };
  const frame = (task) => {
    const box = nodes[task].querySelector(".box");
    const [x, y, w, h] = ["x", "y", "width", "height"].map((name) => +box.getAttribute(name));
    return { x, y, w, h, mx: x + w / 2, my: y + h / 2 };
  };
  // Brings a task into sight, large enough to be read.
  const reveal = (task) => {
    const { width, height } = size();
    const { x, y, w, h, mx, my } = frame(task);
    const small = seen.scale < 0.55;
    if (small) seen.scale = 0.9;
    const [right, bottom] = [seen.x + width / seen.scale, seen.y + height / seen.scale];
    if (small || x < seen.x || y < seen.y || x + w > right || y + h > bottom) {
      seen.x = mx - width / seen.scale / 2;
      seen.y = my - height / seen.scale / 2;
    }
    show();
  };

  let lit = [];
  const dim = () => {
    lit.forEach((element) => element.classList.remove("on"));
    lit = [];
    svg.classList.remove("lit");
  };
  const light = (task) => {
    dim();
    for (const next of [up, down]) {
      const met = new Set([task]);
      for (const at of met) {
        lit.push(nodes[at]);
        for (const { task: other, edge } of next[at]) {
          lit.push(edge);
          met.add(other);
        }
      }
    }
    lit.forEach((element) => element.classList.add("on"));
    svg.classList.add("lit");
  };

  let chosen = null, before = null;
  const element = (name, text, className) => {
    const made = document.createElement(name);
    if (text) made.textContent = text;
    if (className) made.className = className;
    return made;
  };
  const list = (title, all) => {
    if (!all.length) return [];
    const made = element("ul");
    for (const { task, edge } of all) {
      const item = element("li"), button = element("button", tasks[task].name);
      button.title = edge.querySelector("title").textContent;
      button.addEventListener("click", () => choose(task));
      item.append(button);
      made.append(item);
    }
    return [element("h3", `${title} (${all.length})`), made];
  };
  const tell = (task) => {
    const { name, project, type, description, ending, took, notes } = tasks[task];
    const close = element("button", "×", "close");
    close.title = "Close ( esc )";
    close.addEventListener("click", () => choose(null));
    const said = [close, element("h2", name)];
    if (description) said.push(element("p", description));
    said.push(element("p", [type, project && `of ${project}`].filter(Boolean).join(" ")));
    if (ending) said.push(element("p", [ending, took].filter(Boolean).join(" · "), "ending"));
    if (notes && notes.length) {
      const made = element("ul", "", "notes");
      made.append(...notes.map((note) => element("li", note)));
      said.push(made);
    }
    said.push(...list("waits for", up[task]), ...list("is waited for by", down[task]));
    panel.replaceChildren(...said);
    panel.hidden = false;
  };
  const choose = (task) => {
    if (chosen !== null) nodes[chosen].classList.remove("chosen");
    [before, chosen] = [chosen, task];
    if (task === null) {
      panel.hidden = true;
      dim();
    } else {
      nodes[task].classList.add("chosen");
      light(task);
      tell(task);
    }
    show();
    if (task !== null) reveal(task);
  };

  let found = [], turn = 0;
  const look = () => {
    found.forEach((task) => nodes[task].classList.remove("found"));
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const text = ({ name, description, ending }) => [name, description, ending].join(" ").toLowerCase();
    const matches = (task) => words.every((word) => text(tasks[task]).includes(word));
    found = words.length ? tasks.map((_, task) => task).filter(matches) : [];
    found.forEach((task) => nodes[task].classList.add("found"));
    count.textContent = words.length ? `${found.length} of ${tasks.length}` : `${tasks.length} tasks`;
    turn = 0;
  };
  search.addEventListener("input", look);
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && found.length) {
      choose(found[turn % found.length]);
      turn += event.shiftKey ? found.length - 1 : 1;
    } else if (event.key === "Escape") {
      search.value = "";
      look();
      view.focus();
    } else return;
    event.preventDefault();
  });

  // The nearest task on that side in the same column, or along the edges.
  const neighbour = (key) => {
    if (key === "ArrowLeft" || key === "ArrowRight") {
      const near = (key === "ArrowLeft" ? up : down)[chosen].map(({ task }) => task);
      const { my } = frame(chosen);
      if (near.includes(before)) return before; // The way back is the way there.
      return near.sort((a, b) => Math.abs(frame(a).my - my) - Math.abs(frame(b).my - my))[0];
    }
    const here = frame(chosen), sign = key === "ArrowUp" ? -1 : 1;
    const beside = tasks.map((_, task) => task).filter((task) => {
      const { x, w, my } = frame(task);
      return x < here.x + here.w && here.x < x + w && (my - here.my) * sign > 1;
    });
    return beside.sort((a, b) => (frame(a).my - frame(b).my) * sign)[0];
  };
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  document.addEventListener("keydown", (event) => {
    if (event.target === search || event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = arrows[event.key];
    if (event.key === "/") search.select();
    else if (event.key === "Escape") choose(null);
    else if (event.key === "0") fit();
    else if (event.key === "+" || event.key === "=") zoom(1.25);
    else if (event.key === "-") zoom(0.8);
    else if (arrow && !panel.contains(event.target)) {
      const next = chosen === null || event.shiftKey ? undefined : neighbour(event.key);
      if (next !== undefined) choose(next);
      else if (chosen === null || event.shiftKey) move(arrow[0] * 80, arrow[1] * 80);
    } else return;
    event.preventDefault();
  });

  const at = (event) => {
    const { left, top } = view.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  };
  const task = (event) => {
    const node = event.target.closest("g[data-task]");
    return node ? +node.dataset.task : null;
  };
  view.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    zoom(Math.exp(-event.deltaY * lines * 0.0016), at(event));
  }, { passive: false });

  // One finger or the mouse moves, two fingers zoom too.
  const held = new Map();
  let travelled = 0, pressed = null;
  view.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    if (!held.size) [travelled, pressed] = [0, task(event)];
    held.set(event.pointerId, at(event));
  });
  addEventListener("pointermove", (event) => {
    const before = held.get(event.pointerId);
    if (!before) return;
    const now = at(event);
    const distance = () => {
      const [a, b] = [...held.values()];
      return Math.hypot(a.x - b.x, a.y - b.y) || 1;
    };
    const apart = held.size === 2 && distance();
    held.set(event.pointerId, now);
    move((before.x - now.x) / held.size, (before.y - now.y) / held.size);
    if (apart) zoom(distance() / apart, now);
    travelled += Math.hypot(now.x - before.x, now.y - before.y);
    view.classList.toggle("dragged", travelled > 4);
  });
  const release = (event) => {
    if (!held.delete(event.pointerId) || held.size) return;
    view.classList.remove("dragged");
    if (event.type === "pointerup" && travelled <= 4) choose(pressed);
  };
  addEventListener("pointerup", release);
  addEventListener("pointercancel", release);
  view.addEventListener("pointerover", (event) => {
    const over = task(event);
    if (chosen === null && over !== null && !held.size) light(over);
  });
  view.addEventListener("pointerout", (event) => {
    if (chosen === null && !(event.relatedTarget && event.relatedTarget.closest && event.relatedTarget.closest("g[data-task]"))) dim();
  });

  find("in").addEventListener("click", () => zoom(1.25));
  find("out").addEventListener("click", () => zoom(0.8));
  find("fit").addEventListener("click", fit);
  let fitted = true;
  new ResizeObserver(() => {
    if (fitted) fit();
    else show();
    fitted = false;
  }).observe(view);
  look();
})();
