// SPDX-License-Identifier: Apache-2.0
(function () {
  "use strict";
  var svg = document.documentElement, plot = document.getElementById("plot");
  var left = +plot.getAttribute("data-x"), width = +plot.getAttribute("data-width");
  var charWidth = +plot.getAttribute("data-char");
  var details = document.getElementById("details"), matched = document.getElementById("matched");
  var reset = document.getElementById("reset"), search = document.getElementById("search");
  var frames = [], byElement = new Map(), zoomed = null, searched = "";

  plot.querySelectorAll("g").forEach(function (g) {
    var title = g.querySelector("title").textContent;
    var f = {
      g: g, rect: g.querySelector("rect"), text: g.querySelector("text"), title: title,
      name: title.slice(0, title.lastIndexOf(" (")),
      start: +g.getAttribute("data-s"), value: +g.getAttribute("data-v"), depth: +g.getAttribute("data-d")
    };
    frames.push(f);
    byElement.set(g, f);
  });

  function label(f, w) {
    var fit = Math.floor((w - 6) / charWidth), chars = Array.from(f.name.slice(0, 2 * fit + 2));
    if (fit < 3) return "";
    return chars.length <= fit ? chars.join("") : chars.slice(0, fit - 2).join("") + "..";
  }

  function place(f, x, w) {
    f.g.style.display = "";
    f.rect.setAttribute("x", x);
    f.rect.setAttribute("width", w);
    var text = label(f, w);
    if (!f.text) {
      if (!text) return;
      f.text = document.createElementNS(svg.namespaceURI, "text");
      f.text.setAttribute("y", +f.rect.getAttribute("y") + 11.5);
      f.g.appendChild(f.text);
    }
    f.text.setAttribute("x", x + 3);
    f.text.textContent = text;
  }

  // zoom gives all of the width to a frame and those above it; below it are its
  // callers, faded.
  function zoom(to) {
    var root = frames[0], end;
    if (!root) return;
    zoomed = to && to !== root ? to : null;
    to = to || root;
    end = to.start + to.value;
    frames.forEach(function (f) {
      var caller = f.depth < to.depth && f.start <= to.start && f.start + f.value >= end;
      f.g.classList.toggle("faded", caller);
      if (caller) {
        place(f, left, width);
      } else if (f.depth >= to.depth && f.start >= to.start && f.start + f.value <= end) {
        place(f, left + (f.start - to.start) / to.value * width, f.value / to.value * width);
      } else {
        f.g.style.display = "none";
      }
    });
    reset.classList.toggle("hidden", !zoomed);
  }

  // find marks the frames whose names match and says how much of the profile is in
  // them and in what they called, each part counted once.
  function find(term) {
    var expression = null, end = -Infinity, sum = 0, hits = [];
    if (term) {
      try {
        expression = new RegExp(term, "i");
      } catch (e) {
        details.textContent = "Search: " + e.message;
        return;
      }
    }
    searched = term;
    frames.forEach(function (f) {
      var hit = expression !== null && expression.test(f.name);
      f.g.classList.toggle("hit", hit);
      if (hit) hits.push(f);
    });
    hits.sort(function (a, b) { return a.start - b.start || b.value - a.value; });
    hits.forEach(function (f) {
      if (f.start >= end) {
        sum += f.value;
        end = f.start + f.value;
      }
    });
    search.textContent = expression ? "Reset Search" : "Search";
    matched.textContent = expression ? "Matched: " + (frames.length ? 100 * sum / frames[0].value : 0).toFixed(2) + "%" : "";
  }

  function ask() {
    var term = searched ? "" : window.prompt("Search for functions by regular expression:", "");
    if (term !== null) find(term);
  }

  function frameOf(event) {
    var g = event.target.closest ? event.target.closest("#plot g") : null;
    return g && byElement.get(g);
  }

  svg.addEventListener("click", function (event) {
    if (event.target === reset) zoom(null);
    else if (event.target === search) ask();
    else if (frameOf(event)) zoom(frameOf(event));
  });
  svg.addEventListener("mouseover", function (event) {
    var f = frameOf(event);
    details.textContent = f ? f.title.replace(/\s+/g, " ") : "";
  });
  window.addEventListener("keydown", function (event) {
    if (event.key === "F3" || (event.ctrlKey || event.metaKey) && event.key === "f") {
      event.preventDefault();
      ask();
    } else if (event.key === "Escape") {
      zoom(null);
    }
  });
  svg.classList.add("scripted");
})();
