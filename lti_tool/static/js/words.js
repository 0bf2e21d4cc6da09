// Counts words while somebody writes. The number shown changes at once; a screen reader hears it after a pause only.

const PAUSE = 1500;

const count = (text) => text.split(/\s+/u).filter(Boolean).length;

function sentence(words, min, max) {
  const soFar = words === 1 ? "1 word" : `${words} words`;
  if (max && words > max) return `${soFar}, ${words - max} more than asked for`;
  if (min && words < min) return `${soFar}, at least ${min - words} to go`;
  return soFar;
}

for (const area of document.querySelectorAll("textarea[data-words-min], textarea[data-words-max]")) {
  const min = Number(area.dataset.wordsMin ?? 0);
  const max = Number(area.dataset.wordsMax ?? 0);

  const shown = document.createElement("p");
  shown.className = "word-count";
  shown.setAttribute("aria-hidden", "true");
  const spoken = document.createElement("p");
  spoken.className = "visually-hidden";
  spoken.setAttribute("aria-live", "polite");
  area.after(shown, spoken);

  let pause;
  const update = () => {
    const words = count(area.value);
    shown.textContent = sentence(words, min, max);
    shown.classList.toggle("is-over", max > 0 && words > max);
    return shown.textContent;
  };
  area.addEventListener("input", () => {
    const text = update();
    window.clearTimeout(pause);
    pause = window.setTimeout(() => { spoken.textContent = text; }, PAUSE);
  });
  update();
}
