"use strict";
// Runs before the first paint, so that a chosen theme does not flash. Tells the zone of this browser to the first sign-in,
// after the first paint: to look it up takes longer than all else of a small page.
(() => {
  const tellZone = () => { document.cookie = `zone=${Intl.DateTimeFormat().resolvedOptions().timeZone}; path=/; samesite=lax`; };
  requestAnimationFrame(() => setTimeout(tellZone));
  let chosen = null;
  try { chosen = localStorage.getItem("theme"); } catch { return; }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
