"use strict";

/* A squarified treemap (Bruls, Huizing, van Wijk 2000): rectangles whose areas are values, as square as can be.
 *
 * squarify(items, box) gives each item, largest first, a box {x, y, w, h}; items have a `value` above zero. */
function squarify(items, box) {
  const total = items.reduce((sum, item) => sum + item.value, 0);
  const scale = total ? (box.w * box.h) / total : 0;
  const placed = [];
  let free = {...box}, index = 0;
  while (index < items.length) {
    const side = Math.min(free.w, free.h);
    let row = [], sum = 0, worst = Infinity;
    while (index < items.length) {
      const area = items[index].value * scale, next = sum + area;
      const largest = Math.max(area, row.length ? row[0].area : 0), smallest = area;
      const ratio = Math.max((side * side * largest) / (next * next), (next * next) / (side * side * smallest));
      if (row.length && ratio > worst) break;
      row.push({item: items[index], area});
      sum = next; worst = ratio; index += 1;
    }
    const thick = side ? sum / side : 0;
    let at = 0;
    for (const {item, area} of row) {
      const long = thick ? area / thick : 0;
      placed.push(free.w >= free.h
        ? {item, x: free.x, y: free.y + at, w: thick, h: long}
        : {item, x: free.x + at, y: free.y, w: long, h: thick});
      at += long;
    }
    free = free.w >= free.h
      ? {x: free.x + thick, y: free.y, w: free.w - thick, h: free.h}
      : {x: free.x, y: free.y + thick, w: free.w, h: free.h - thick};
  }
  return placed;
}

/* Draws a treemap into an SVG element. `describe(item)` says it in words, `part(item)` how much of it is wasted (0 to 1),
 * `inside(item)` what is in it, `open(item)` is called when it is chosen. One of the rectangles takes part in the order of
 * the Tab key; the arrow keys go on to the nearest one in a direction. */
function drawTreemap(svg, items, {describe, part, inside, open}) {
  const NS = "http://www.w3.org/2000/svg", width = svg.clientWidth || 800, height = svg.clientHeight || 400;
  const make = (name, attributes, parent) => {
    const element = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    parent.append(element);
    return element;
  };
  const label = (box, text, parent) => {
    const room = Math.floor((box.w - 8) / 6.6);
    if (room < 3 || box.h < 16) return false;
    make("text", {x: box.x + 4, y: box.y + 13}, parent).textContent = text.length > room ? text.slice(0, room - 1) + "…" : text;
    return true;
  };
  const draw = (box, parent, depth) => {
    const {item} = box, children = depth < 3 && box.w > 30 && box.h > 34 ? inside(item).filter(child => child.value > 0) : [];
    const group = make("g", {class: children.length ? "branch" : item.kind === "rest" ? "rest leaf" : "leaf"}, parent);
    make("rect", {x: box.x, y: box.y, width: box.w, height: box.h}, group);
    const wasted = part(item);
    if (wasted > 0) make("rect", {class: "wasted", x: box.x + .5, y: box.y + box.h * (1 - wasted), width: Math.max(box.w - 1, 0), height: box.h * wasted}, group);
    make("title", {}, group).textContent = describe(item);
    const named = label(box, item.name, group);
    if (children.length && named) {
      const room = {x: box.x + 2, y: box.y + 18, w: box.w - 4, h: box.h - 20};
      for (const child of squarify(children, room)) if (child.w > 2 && child.h > 2) draw(child, group, depth + 1);
    }
    return group;
  };
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const cells = [];
  for (const box of squarify(items.filter(item => item.value > 0), {x: 0, y: 0, w: width, h: height})) {
    if (box.w < 1 || box.h < 1) continue;
    const cell = draw(box, svg, 0);
    cell.setAttribute("tabindex", cells.length ? "-1" : "0");
    cell.setAttribute("role", "button");
    cell.setAttribute("aria-label", describe(box.item));
    cell.addEventListener("click", () => open(box.item));
    cell.addEventListener("keydown", event => {
      const way = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(box.item); }
      if (!way) return;
      event.preventDefault();
      const next = nearest(cells, box, way);
      if (!next) return;
      for (const one of cells) one.cell.setAttribute("tabindex", one === next ? "0" : "-1");
      next.cell.focus();
    });
    cells.push({cell, box});
  }
}

/* The cell whose middle is nearest to that of a box, of those that lie in a direction. */
function nearest(cells, from, [dx, dy]) {
  const middle = box => [box.x + box.w / 2, box.y + box.h / 2], [x, y] = middle(from);
  let best = null, least = Infinity;
  for (const one of cells) {
    const [otherX, otherY] = middle(one.box), along = (otherX - x) * dx + (otherY - y) * dy;
    const across = Math.abs((otherX - x) * dy) + Math.abs((otherY - y) * dx), distance = along + 2 * across;
    if (along > .5 && distance < least) { least = distance; best = one; }
  }
  return best;
}
