/* The episode page: labels, heads' answers and views at one cursor. Plain script, no network. */
"use strict";

(() => {
  const root = document.getElementById("explorer");
  const data = window.XPERIENCE_EPISODE;
  if (!root) return;
  if (!data) {
    root.textContent = "The data of this page is missing: build the site again.";
    return;
  }

  const SVG = "http://www.w3.org/2000/svg";
  const ROW = 22, GAP = 6, WIDTH = 1000;
  const seconds = (frame) => frame / data.fps;
  const clock = (frame) => {
    const s = seconds(frame);
    return `${Math.floor(s / 60)}:${(s % 60).toFixed(1).padStart(4, "0")}`;
  };
  // One colour a label on the whole page; successive ones differ in hue by the golden angle.
  const order = new Map();
  for (const some of [data.action, data.subtask, ...data.tasks])
    for (const name of some.names) if (!order.has(name)) order.set(name, order.size);
  const colour = (name) => `hsl(${(order.get(name) * 137.508) % 360} 55% 58%)`;

  function make(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  function draw(tag, attributes, title) {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    if (title) {
      const text = document.createElementNS(SVG, "title");
      text.textContent = title;
      node.append(text);
    }
    return node;
  }

  /* Runs of equal codes: [first frame, frame after the last, code]. */
  function runs(starts, codes) {
    const found = [];
    starts.forEach((start, i) => {
      const last = found[found.length - 1];
      const near = last && start - last[1] < data.stride;
      if (near && last[2] === codes[i]) last[1] = start + data.stride;
      else found.push([start, start + data.stride, codes[i]]);
    });
    return found;
  }

  const x = (frame) => (frame / data.frames) * WIDTH;

  function strip(svg, top, starts, codes, names) {
    for (const [first, after, code] of runs(starts, codes)) {
      if (code < 0) continue;
      const box = { x: x(first), y: top, width: Math.max(x(after) - x(first), 0.6), height: ROW };
      svg.append(draw("rect", { ...box, fill: colour(names[code]) }, `${names[code]} from ${clock(first)}`));
    }
  }

  function errors(svg, top, head) {
    if (head.said) {
      const wrong = head.said.map((said, i) => (said === head.truth[i] ? -1 : 1));
      for (const [first, after, code] of runs(head.at, wrong)) {
        if (code < 0) continue;
        const width = Math.max(x(after) - x(first), 0.6);
        const box = { x: x(first), y: top + ROW, width, height: 4, class: "wrong" };
        svg.append(draw("rect", box, `wrong from ${clock(first)}`));
      }
      return;
    }
    const most = Math.max(...head.error) || 1;
    const points = head.error.map(
      (error, i) => `${x(head.at[i])},${(top + ROW * (1 - error / most)).toFixed(1)}`
    );
    svg.append(draw("polyline", { points: points.join(" "), class: "error" }));
  }

  function rows() {
    const task = data.tasks[state.task];
    const found = [
      { name: "action", at: data.starts, codes: data.action.codes, names: data.action.names },
      { name: "step", at: data.starts, codes: data.subtask.codes, names: data.subtask.names },
    ];
    if (!task) return found;
    const heads = Object.entries(task.heads);
    const first = heads[0][1];
    if (first.truth)
      found.push({ name: "truth", at: first.at, codes: first.truth, names: task.names });
    for (const [name, head] of heads)
      found.push({ name, at: head.at, codes: head.said, names: task.names, head });
    return found;
  }

  function redraw() {
    const shown = rows();
    const height = shown.length * (ROW + GAP + 4);
    const svg = draw("svg", {
      viewBox: `0 0 ${WIDTH} ${height}`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": `Labels and answers over ${clock(data.frames)} minutes; the text below the ` +
        "slider says what is at the cursor",
    });
    svg.style.height = `${height}px`;
    shown.forEach((row, place) => {
      const top = place * (ROW + GAP + 4);
      svg.append(draw("rect", { x: 0, y: top, width: WIDTH, height: ROW, class: "ground" }));
      if (row.codes) strip(svg, top, row.at, row.codes, row.names);
      if (row.head) errors(svg, top, row.head);
    });
    cursor = draw("line", { y1: 0, y2: height, class: "cursor" });
    svg.append(cursor);
    const names = shown.map((row) => make("li", {}, row.name));
    legend.replaceChildren(...names);
    stage.replaceChildren(svg);
    about.textContent = data.tasks.length ? data.tasks[state.task].about : "";
    move(state.frame);
  }

  /* Places in a sorted list of starts whose window is the last to begin at or before a frame. */
  function under(starts, frame) {
    let low = 0, high = starts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (starts[middle] <= frame) low = middle + 1;
      else high = middle;
    }
    const last = low - 1;
    if (last < 0 || frame >= starts[last] + data.window) return [];
    let first = last;
    while (first > 0 && starts[first - 1] === starts[last]) first -= 1;
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  }

  const label = (row, place) => (row.codes[place] < 0 ? "no label" : row.names[row.codes[place]]);

  function words(row, frame) {
    const places = under(row.at, frame);
    if (!places.length) return ["not asked here", false];
    if (row.codes) {
      const wrong = row.head && places.some((i) => row.head.said[i] !== row.head.truth[i]);
      return [places.map((i) => label(row, i) || "nothing").join(", then "), wrong];
    }
    const unit = data.tasks[state.task].unit;
    const shown = places.map((i) => `${row.head.error[i]} ${unit === "1" ? "" : unit}`);
    return [`error ${shown.join(", ")}`, false];
  }

  function move(frame) {
    state.frame = Math.min(Math.max(Math.round(frame), 0), data.frames - 1);
    slider.value = state.frame;
    slider.setAttribute("aria-valuetext", clock(state.frame));
    const at = x(state.frame);
    cursor.setAttribute("x1", at);
    cursor.setAttribute("x2", at);
    time.textContent = `${clock(state.frame)} · frame ${state.frame}`;
    said.replaceChildren(
      ...rows().flatMap((row) => {
        const [text, wrong] = words(row, state.frame);
        const mark = wrong ? " ✗" : "";
        return [make("dt", {}, row.name), make("dd", wrong ? { class: "wrong" } : {}, text + mark)];
      })
    );
    for (const [tile, camera] of tiles) {
      const [n, width, height] = data.views.cameras[camera];
      const place = Math.min(Math.floor(state.frame / data.views.every), n - 1);
      const column = place % data.views.columns, line = Math.floor(place / data.views.columns);
      tile.style.aspectRatio = `${width} / ${height}`;
      const lines = Math.ceil(n / data.views.columns);
      tile.style.backgroundSize = `${data.views.columns * 100}% ${lines * 100}%`;
      const across = data.views.columns > 1 ? (column / (data.views.columns - 1)) * 100 : 0;
      const down = lines > 1 ? (line / (lines - 1)) * 100 : 0;
      tile.style.backgroundPosition = `${across}% ${down}%`;
    }
  }

  function views() {
    const shown = [];
    for (const camera of Object.keys(data.views.cameras)) {
      const tile = make("div", { class: "tile", role: "img", "aria-label": `view of ${camera}` });
      tile.style.backgroundImage = `url("_static/run/view_${camera}.webp")`;
      tiles.push([tile, camera]);
      shown.push(make("figure", {}, tile, make("figcaption", {}, camera)));
    }
    const reasons = new Map();
    for (const [camera, why] of Object.entries(data.views.missing))
      reasons.set(why, [...(reasons.get(why) || []), camera]);
    for (const [why, cameras] of reasons)
      shown.push(make("p", { class: "absent" }, `No view of ${cameras.join(", ")}: ${why}.`));
    return shown;
  }

  const state = { frame: 0, task: 0 };
  const tiles = [];
  let cursor = null;
  const slider = make("input", {
    type: "range", min: 0, max: data.frames - 1, step: 1, value: 0, "aria-label": "time in the episode",
  });
  const picker = make("select", { "aria-label": "task and contract" });
  data.tasks.forEach((task, place) =>
    picker.append(make("option", { value: place }, `${task.task} (${task.contract})`))
  );
  const about = make("p", { class: "about" });
  const time = make("p", { class: "time" });
  const legend = make("ul", { class: "names", "aria-hidden": "true" });
  const stage = make("div", { class: "stage" });
  const said = make("dl", { class: "said" });
  const task = make("label", { class: "task" }, "Task ", picker);
  root.replaceChildren(
    make("div", { class: "views" }, ...views()),
    make("div", { class: "controls" }, task, time),
    about,
    make("div", { class: "board" }, legend, make("div", { class: "lines" }, stage, slider)),
    said
  );
  if (!data.tasks.length) task.replaceChildren("No head has answered this recording yet.");

  slider.addEventListener("input", () => move(Number(slider.value)));
  picker.addEventListener("change", () => {
    state.task = Number(picker.value);
    redraw();
  });
  const point = (event) => {
    const box = stage.getBoundingClientRect();
    move(((event.clientX - box.left) / box.width) * data.frames);
  };
  stage.addEventListener("pointerdown", (event) => {
    stage.setPointerCapture(event.pointerId);
    point(event);
  });
  stage.addEventListener("pointermove", (event) => event.buttons && point(event));

  const first = data.tasks[0] && Object.values(data.tasks[0].heads)[0].at[0];
  state.frame = first || 0;
  redraw();
})();
