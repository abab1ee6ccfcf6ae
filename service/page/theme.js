// Loaded before the first paint, so that a chosen theme does not flash; a module would come too late.
(() => {
  const key = "cutwater.theme";
  let chosen = null;
  try {
    chosen = localStorage.getItem(key);
  } catch {
    // Storage may be forbidden; then the system's theme it is.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
