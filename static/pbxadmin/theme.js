"use strict";
// Runs before the first paint, so that a chosen theme does not flash.
(() => {
  let chosen = null;
  try { chosen = localStorage.getItem("theme"); } catch { return; }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
