// Says in good time that a visit ends, and when it has ended, before somebody types on. <body data-visit-seconds="...">
// Timers stand still while a computer sleeps, so the clock is asked whenever the page is looked at again.

const WARN_BEFORE = 5 * 60;

const seconds = Number(document.body.dataset.visitSeconds);
const ends = Date.now() + seconds * 1000;
const place = document.querySelector(".flashes");
let said = "";
let timer;

function say(state, tone, text) {
  if (said === state) return;
  said = state;
  const words = document.createElement("p");
  words.className = `flash flash-${tone}`;
  words.textContent = text;
  place.replaceChildren(words);
}

function look() {
  window.clearTimeout(timer);
  const left = (ends - Date.now()) / 1000;
  if (left <= 0) {
    say("over", "danger", "This visit is over. Copy what you typed since you last saved, then open the activity again "
      + "from your course. If you press a button now, you are shown what you typed, so that you can copy it.");
    return;
  }
  if (left <= WARN_BEFORE) {
    const at = new Date(ends).toLocaleTimeString([], { timeStyle: "short" });
    say("soon", "warning", `This visit ends at ${at}. Save what you typed before then. To go on, open the activity again `
      + "from your course.");
  }
  const next = left > WARN_BEFORE ? left - WARN_BEFORE : left;
  // A timer holds 24 days at most.
  timer = window.setTimeout(look, Math.min(next * 1000 + 50, 2 ** 31 - 1));
}

if (seconds > 0 && place) {
  document.addEventListener("visibilitychange", look);
  look();
}
