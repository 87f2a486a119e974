"use strict";

/* The page of an image's layers: which layer is looked at, which directory, and what is shown of it.
 *
 * A node of the tree is [parent, name, kind, shares, count, closed], a share [layer, added, changed, deleted, size, wasted]. */
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const get = id => document.getElementById(id);
  const nodes = data.tree.map(([parent, name, kind, shares, count, closed], index) =>
    ({index, parent, name, kind, shares, count, closed, children: []}));
  for (const node of nodes) if (node.parent >= 0) nodes[node.parent].children.push(node);
  const state = {layer: 0, directory: nodes[0], area: "size", only: ""};

  const size = bytes => {
    const units = ["B", "kB", "MB", "GB", "TB"];
    let unit = 0;
    while (bytes >= 1000 && unit < units.length - 1) { bytes /= 1000; unit += 1; }
    return `${Number(bytes.toPrecision(3))}${units[unit]}`;
  };
  const sum = node => {
    const total = {added: 0, changed: 0, deleted: 0, size: 0, wasted: 0};
    for (const [layer, added, changed, deleted, bytes, wasted] of node.shares) {
      if (state.layer && layer !== state.layer) continue;
      total.added += added; total.changed += changed; total.deleted += deleted; total.size += bytes; total.wasted += wasted;
    }
    return total;
  };
  const name = node => node.parent < 0 ? "/" : node.kind === "rest" ? `${node.count} more` : node.name + (node.kind === "directory" ? "/" : "");
  const path = node => node.parent < 0 ? "/" : path(nodes[node.parent]) + name(node);
  const inside = node => node.children
    .map(child => ({node: child, name: name(child), kind: child.kind, ...sum(child)}))
    .filter(item => state.only ? item[state.only] > 0 : item.added || item.changed || item.deleted || item.size)
    .map(item => ({...item, value: state.area === "wasted" ? item.wasted : item.size}))
    .sort((one, other) => other.value - one.value || (one.name < other.name ? -1 : 1));
  const describe = item => `${path(item.node)}: ${size(item.size)}, ${size(item.wasted)} wasted`;

  /* Go to a directory. The keyboard stays with the map if it was there, and goes to the heading if its place has gone. */
  const go = node => {
    const mapped = get("map").contains(document.activeElement);
    state.directory = node;
    draw();
    const cell = get("map").querySelector("[tabindex='0']");
    (mapped && cell ? cell : get("files-heading")).focus();
  };
  const open = item => { if (item.node.children.length) go(item.node); };

  const cell = (row, content, numeric) => {
    const made = row.insertCell();
    if (numeric) made.className = "number";
    made.append(content);
    return made;
  };
  const drawTable = items => {
    const body = get("files").tBodies[0];
    body.replaceChildren();
    for (const item of items.slice(0, 500)) {
      const row = body.insertRow();
      if (item.node.children.length) {
        const button = document.createElement("button");
        button.type = "button";
        button.className = "path";
        button.textContent = item.name;
        button.addEventListener("click", () => open(item));
        cell(row, button);
      } else cell(row, item.name).className = "path";
      cell(row, size(item.size), true);
      cell(row, size(item.wasted), true);
      for (const key of ["added", "changed", "deleted"]) cell(row, String(item[key]), true);
    }
    if (items.length > 500) cell(body.insertRow(), `and ${items.length - 500} more`);
  };
  const drawCrumbs = () => {
    const crumbs = get("crumbs"), way = [];
    for (let node = state.directory; ; node = nodes[node.parent]) { way.unshift(node); if (node.parent < 0) break; }
    crumbs.replaceChildren(...way.map(node => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "path";
      button.textContent = name(node);
      if (node === state.directory) button.setAttribute("aria-current", "page");
      button.addEventListener("click", () => go(node));
      return button;
    }));
  };
  const draw = () => {
    const items = inside(state.directory), total = sum(state.directory);
    const what = state.layer ? `layer ${state.layer}` : "all layers";
    get("shown").textContent = `${path(state.directory)} in ${what}: ${size(total.size)} stored, ${size(total.wasted)} wasted`;
    drawCrumbs();
    drawTreemap(get("map"), items, {
      describe, open,
      part: item => item.size ? item.wasted / item.size : 0,
      inside: item => inside(item.node),
    });
    drawTable(items);
    for (const button of document.querySelectorAll("[data-layer]"))
      button.setAttribute("aria-pressed", String(Number(button.dataset.layer) === state.layer));
  };

  for (const button of document.querySelectorAll("[data-layer]"))
    button.addEventListener("click", () => { state.layer = Number(button.dataset.layer); draw(); });
  get("area").addEventListener("change", event => { state.area = event.target.value; draw(); });
  get("only").addEventListener("change", event => { state.only = event.target.value; draw(); });
  document.addEventListener("keydown", event => {
    if ((event.key === "Escape" || event.key === "Backspace") && state.directory.parent >= 0 && event.target.tagName !== "SELECT") {
      event.preventDefault();
      go(nodes[state.directory.parent]);
    }
  });
  draw();
  let width = get("map").clientWidth;
  new ResizeObserver(() => requestAnimationFrame(() => {
    if (get("map").clientWidth === width) return;
    width = get("map").clientWidth;
    draw();
  })).observe(get("map"));
})();
