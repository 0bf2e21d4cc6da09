// Has the LMS's own page keep two marks for us, or asks for them back, where the browser keeps no cookie.
// The page says with what: data-storage="put" or "get" and what belongs to it. Whatever happens, it goes on within seconds.
// Spec: https://www.imsglobal.org/spec/lti-pm-s/v0p1

const CAPABILITIES_WAIT = 500;
const WAIT = 1000;

const page = document.querySelector("[data-storage]");
const lms = window.parent !== window ? window.parent : window.opener;

function parsed(data) {
  if (typeof data !== "string") return data;
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}

/** One question. Resolves to the answer, or to null where none comes that `trusted` believes. */
function ask(receiver, targetOrigin, message, trusted, wait = WAIT) {
  return new Promise((resolve) => {
    const id = [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    const done = (answer) => {
      window.removeEventListener("message", hear);
      window.clearTimeout(timer);
      resolve(answer);
    };
    const hear = (event) => {
      const said = parsed(event.data);
      if (said?.message_id === id && said.subject === `${message.subject}.response` && trusted(event)) done(said);
    };
    const timer = window.setTimeout(() => done(null), wait);
    window.addEventListener("message", hear);
    try {
      receiver.postMessage({ ...message, message_id: id }, targetOrigin);
    } catch {
      done(null);
    }
  });
}

/**
 * The frame that keeps data: the one that the LMS's page names, else the one of the login, else that page itself.
 * Null where that frame is not there, undefined where nobody says that anything is kept.
 */
async function keeper(subject) {
  const told = await ask(lms, "*", { subject: "lti.capabilities" }, (event) => event.source === lms, CAPABILITIES_WAIT);
  const supported = (Array.isArray(told?.supported_messages) ? told.supported_messages : [])
    .find((message) => message?.subject === subject);
  const name = supported?.frame || page.dataset.target || (supported && "_parent");
  if (!name) return undefined;
  if (name === "_parent") return lms;
  try {
    return lms.frames[name] ?? null;
  } catch {
    return null;
  }
}

/** The answers to all messages, from the keeper or, where it is silent, from the page around us. Null if one is missing. */
async function askAll(subject, messages) {
  const frame = await keeper(subject);
  if (frame === undefined) return null;
  const { origin } = page.dataset;
  const around = (page.dataset.origins ?? "").split(" ").filter(Boolean);
  const places = [
    // What is asked of the window around us may be read by whoever it is: it is of no use to them. What is believed
    // comes from the platform only.
    [lms, "*", (event) => event.source === lms && (subject === "lti.put_data" || around.includes(event.origin))],
  ];
  if (frame) places.unshift([frame, origin, (event) => event.origin === origin]);
  for (const [receiver, targetOrigin, trusted] of places) {
    const answers = await Promise.all(
      messages.map((message) => ask(receiver, targetOrigin, { ...message, subject }, trusted)),
    );
    if (answers.every((answer) => answer && !answer.error)) return { answers, receiver, targetOrigin, trusted };
  }
  return null;
}

async function put() {
  const marks = Object.entries(JSON.parse(page.dataset.marks));
  await askAll("lti.put_data", marks.map(([key, value]) => ({ key, value })));
}

/** Fills the form with what was kept, and has it forgotten: the platform keeps little for each tool. */
async function get(form) {
  const fields = [...form.elements].filter((field) => field.type === "hidden");
  const found = await askAll("lti.get_data", fields.map((field) => ({ key: field.name })));
  if (!found || !found.answers.every((answer) => typeof answer.value === "string")) return false;
  fields.forEach((field, at) => { field.value = found.answers[at].value; });
  await Promise.all(fields.map((field) => ask(
    found.receiver,
    found.targetOrigin,
    { subject: "lti.put_data", key: field.name, value: null },
    found.trusted,
    CAPABILITIES_WAIT,
  )));
  return true;
}

async function run() {
  if (page.dataset.storage === "put") {
    if (lms) await put();
  } else {
    const form = document.getElementById(page.dataset.form);
    if (lms && await get(form)) {
      form.submit();
      return;
    }
  }
  // Not to be come back to: the login is used up by what follows.
  window.location.replace(page.dataset.onward);
}

run();
