// Keeps the code behind the button fresh for people who read slowly, and says that a tab was opened.
// The page is made once. Where it is loaded anew, this place in the browser's history remembers its key: it is kept even
// where cookies and storage are not, and nobody else has it who has the address.

const EVERY = 40_000;

const form = document.querySelector("form[data-code-from]");
const key = form.dataset.key ?? window.history.state?.arrivalKey;

async function renew() {
  const answer = await fetch(form.dataset.codeFrom, {
    method: "POST",
    headers: { Accept: "application/json" },
    body: new URLSearchParams({ key }),
  });
  if (answer.ok) {
    form.elements.code.value = (await answer.json()).code;
  } else {
    window.clearInterval(renewal);
  }
  return answer.ok;
}

const renewal = key && window.setInterval(renew, EVERY);

if (form.dataset.key) {
  window.history.replaceState({ arrivalKey: key }, "");
} else if (key && (await renew())) {
  document.querySelector("[data-without-key]").hidden = true;
  form.hidden = false;
}

form.addEventListener("submit", () => {
  if (form.target !== "_blank") return;
  window.clearInterval(renewal);
  // Not before the browser has sent it.
  window.setTimeout(() => {
    form.hidden = true;
    document.querySelector("[data-opened]").hidden = false;
  }, 0);
});
