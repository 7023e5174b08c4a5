/* Small helps on every page: open all code at once, enlarge figures, reach what scrolls by keyboard. */
"use strict";

(() => {
  const MANY_ROWS = 20;
  const MUCH = 1.3; // a figure drawn this much smaller than it is has letters too small to read

  /* A field above a long table of scores that leaves the rows with all the words in it. */
  function filter(box) {
    const rows = [...box.querySelectorAll("tbody tr")];
    if (rows.length < MANY_ROWS) return;
    const input = document.createElement("input");
    input.type = "search";
    input.placeholder = "hand neural corrected";
    const label = document.createElement("label");
    label.append("Rows with ", input);
    const count = document.createElement("output");
    const texts = rows.map((row) => row.textContent.toLowerCase().replaceAll("_", " "));
    const tell = () => {
      const words = input.value.toLowerCase().replaceAll("_", " ").split(/\s+/);
      let shown = 0;
      rows.forEach((row, i) => {
        row.hidden = !words.every((word) => texts[i].includes(word));
        shown += !row.hidden;
      });
      count.textContent = `${shown} of ${rows.length}`;
    };
    input.addEventListener("input", tell);
    tell();
    const line = document.createElement("div");
    line.className = "filter";
    line.append(label, count);
    box.before(line);
  }

  /* A button below a figure that is drawn much smaller than it is: as on a phone. */
  function enlarge(img) {
    const full = Number(img.getAttribute("width")) || img.naturalWidth;
    if (full <= img.clientWidth * MUCH) return;
    const frame = document.createElement("div");
    img.before(frame);
    frame.append(img);
    const button = document.createElement("button");
    button.type = "button";
    button.className = "full-size";
    const tell = (whole) => {
      frame.className = whole ? "whole" : "";
      if (whole) frame.tabIndex = 0; // arrows scroll it
      else frame.removeAttribute("tabindex");
      button.textContent = whole ? "Fit the page" : "Figure at full size";
      button.setAttribute("aria-pressed", String(whole));
    };
    button.addEventListener("click", () => tell(button.getAttribute("aria-pressed") !== "true"));
    tell(false);
    frame.after(button);
  }

  const ready = () => {
    document.querySelectorAll("article .cell_output img").forEach(enlarge);
    document.querySelectorAll(".results").forEach(filter);
    const folded = [...document.querySelectorAll("article details.hide")];
    const title = document.querySelector("article h1");
    if (folded.length && title) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "show-code";
      const tell = (open) => {
        button.textContent = open ? "Fold the code" : "Show all code";
        button.setAttribute("aria-pressed", String(open));
      };
      button.addEventListener("click", () => {
        const open = button.getAttribute("aria-pressed") !== "true";
        for (const one of folded) one.open = open;
        tell(open);
      });
      tell(false);
      title.before(button);
    }
    for (const toggle of document.querySelectorAll("nav details > summary")) {
      const link = toggle.closest("li")?.querySelector("a");
      if (link && !toggle.textContent.trim())
        toggle.setAttribute("aria-label", `pages of ${link.textContent.trim()}`);
    }
    for (const toggle of document.querySelectorAll("article details.hide > summary"))
      toggle.removeAttribute("aria-label"); // its own words say more
    const wide = ".results, .cell_output .text_html, .pst-scrollable-table-container, article table";
    for (const box of document.querySelectorAll(wide)) {
      const scrolls = box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1;
      if (!scrolls || getComputedStyle(box).overflowX === "visible") continue;
      box.tabIndex = 0;
      if (box.tagName !== "TABLE") {
        box.setAttribute("role", "group");
        box.setAttribute("aria-label", "table that scrolls");
      }
    }
  };
  if (document.readyState === "complete") ready();
  else window.addEventListener("load", ready);
})();
