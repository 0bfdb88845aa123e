"use strict";
// Swagger UI is dark by a class of its own: by the chosen theme, or as the system is.
(() => {
  const chosen = document.documentElement.dataset.theme;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const show = () => document.documentElement.classList.toggle("dark-mode", chosen ? chosen === "dark" : system.matches);
  system.addEventListener("change", show);
  show();
})();
