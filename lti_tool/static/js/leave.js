// Asks before a page with unsaved writing is left. For forms with data-guard.

const unsaved = new Set();

for (const form of document.querySelectorAll("form[data-guard]")) {
  form.addEventListener("input", () => unsaved.add(form));
  form.addEventListener("submit", (event) => {
    if (!event.defaultPrevented) unsaved.delete(form);
  });
}

window.addEventListener("beforeunload", (event) => {
  if (unsaved.size > 0) event.preventDefault();
});
