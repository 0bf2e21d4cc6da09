// A second click on a slow line must not send a form twice. For forms with data-once. The server holds the same promise;
// this spares people the message that it was done already.

const buttonsOf = (form) => [...form.elements].filter((element) => element.type === "submit");

for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (event.defaultPrevented) return;
    // Not before the browser has collected the fields: the button pressed may carry one.
    window.setTimeout(() => buttonsOf(form).forEach((button) => { button.disabled = true; }), 0);
  });
}

window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-once]")) {
    buttonsOf(form).forEach((button) => { button.disabled = false; });
  }
});
