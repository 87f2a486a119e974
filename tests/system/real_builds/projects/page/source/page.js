import { h, render } from "preact";
import { sum } from "./sum.js";

render(h("p", { id: "total" }, `total: ${sum([1, 2, 39])}`), document.getElementById("root"));
