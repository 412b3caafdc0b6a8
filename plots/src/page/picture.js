"use strict";
// Charts that come drawn, as lists of shapes: what every other file of the plots shows,
// in the page's own colours.

/** `[path, fill, stroke, width, dash, opacity]`, or seven of a text. */
function shapeOf(shape) {
  if (shape.length === 6) {
    const [d, fill, stroke, width, dash, opacity] = shape;
    return svg("path", { d, style: `fill:${fill || "none"};stroke:${stroke || "none"}`, "stroke-width": width,
      "stroke-dasharray": dash, opacity: opacity === 1 ? null : opacity });
  }
  const [words, x, y, size, colour, bold, anchor] = shape;
  return svg("text", { x, y, "text-anchor": anchor, "font-weight": bold ? "bold" : null,
    style: `font-size:${size}px;fill:${colour}` }, words);
}

/** A picture; its first texts are its title and conditions, which is what a screen reader says of it. */
function picture({ size, shapes }) {
  const said = shapes.filter(s => s.length === 7).slice(0, 2).map(s => s[0]).join(". ");
  const drawing = svg("svg", { viewBox: `0 0 ${size[0]} ${size[1]}`, role: "img", "aria-label": said || "chart" }, shapes.map(shapeOf));
  return el("figure", { class: "picture" }, scroller(said || "chart", drawing));
}
