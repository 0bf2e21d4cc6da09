// Something on the page waits for a worker. Until the answer is here, for a minute at most, the same page is asked for every
// two seconds, and only that part of it is put in place: focus and place on the page stay. Without this, "Look again" does it.

const EVERY = 2000;
const LONGEST = 60000;
const since = Date.now();

const waiting = () => document.querySelector("[data-again]");

const again = async () => {
  const part = waiting();
  if (!part || Date.now() - since > LONGEST) return;
  try {
    const answer = await fetch(part.dataset.again, { headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = answer.ok && page.getElementById(part.id);
    if (fresh && !fresh.hasAttribute("data-again")) {
      part.removeAttribute("data-again");
      part.replaceChildren(...fresh.childNodes);
      part.dispatchEvent(new CustomEvent("fresh", { bubbles: true }));
    }
  } catch {
    // No network for a moment; the next look may have it.
  }
  window.setTimeout(again, EVERY);
};

if (waiting()) window.setTimeout(again, EVERY);
