"use strict";
// Sorts and filters the table of findings. Everything is in the page already: without this it is only all shown.
(() => {
  const table = document.getElementById("table");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const form = document.getElementById("filters");
  const count = document.getElementById("count");
  const field = (name) => document.getElementById(name);
  const column = { severity: 0, rule: 1, namespace: 3 };
  const cellText = (row, at) => row.cells[at].textContent;
  const firstText = (row, at) => row.cells[at].firstChild.textContent;
  let texts = null;

  const compare = new Intl.Collator("en", { numeric: true }).compare;
  const keyOf = (row, at) => row.cells[at].dataset.order ?? cellText(row, at);
  const sort = (head) => {
    const at = head.cellIndex;
    // Severity begins with the worst, words with A.
    const first = at === 0 ? "descending" : "ascending";
    const other = at === 0 ? "ascending" : "descending";
    const direction = head.getAttribute("aria-sort") === first ? other : first;
    for (const each of head.parentNode.cells) each.setAttribute("aria-sort", each === head ? direction : "none");
    const sign = direction === "ascending" ? 1 : -1;
    const keyed = rows.map((row, index) => [keyOf(row, at), index, row]);
    keyed.sort((a, b) => sign * compare(a[0], b[0]) || a[1] - b[1]);
    body.append(...keyed.map((each) => each[2]));
  };
  for (const head of table.tHead.rows[0].cells) {
    const button = head.querySelector("button");
    button.disabled = false;
    button.addEventListener("click", () => sort(head));
  }

  const filter = () => {
    const wanted = Object.entries(column).map(([name, at]) => [field(name).value, at]).filter((each) => each[0]);
    const words = field("text").value.toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length) texts ??= rows.map((row) => row.textContent.toLowerCase());
    let shown = 0;
    rows.forEach((row, index) => {
      const fits = wanted.every(([value, at]) => firstText(row, at) === value) && words.every((word) => texts[index].includes(word));
      row.hidden = !fits;
      if (fits) shown += 1;
    });
    count.textContent = `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")} shown`;
  };
  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));

  window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => { each.open = true; }));
})();
