/* Small helps on every page: open all code at once, reach what scrolls by keyboard. */
"use strict";

(() => {
  const ready = () => {
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
    const wide = ".results, .cell_output .text_html, .pst-scrollable-table-container, article table";
    for (const box of document.querySelectorAll(wide)) {
      const scrolls = box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1;
      if (!scrolls || getComputedStyle(box).overflowX === "visible") continue;
      box.tabIndex = 0;
      if (box.tagName !== "TABLE") {
        box.setAttribute("role", "region");
        box.setAttribute("aria-label", "table that scrolls");
      }
    }
  };
  if (document.readyState === "complete") ready();
  else window.addEventListener("load", ready);
})();
