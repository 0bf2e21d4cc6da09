// Pages work without this file; it saves presses and lets the tool ask for its height.

for (const form of document.querySelectorAll("form[data-submit]")) {
  form.submit();
}

// Out of the tool's frame into the course around it, which after deep linking must show the new activity.
const leave = document.querySelector("a[data-leave]");
if (leave) {
  window.top.location.assign(leave.href);
}

const frame = document.querySelector("iframe[data-tool-origin]");
const forwarder = document.querySelector("iframe[data-storage-frame]");

// Canvas keeps 500 keys and 4096 characters, keys and values together, for each tool, until the tab is closed.
const MOST_KEYS = 500;
const MOST_CHARACTERS = 4096;

function putData(origin, key, value) {
  const begin = `platform_storage|${origin}|`;
  if (value === null || value === undefined) {
    sessionStorage.removeItem(begin + key);
    return null;
  }
  const kept = Object.entries({ ...sessionStorage })
    .filter(([name]) => name.startsWith(begin) && name !== begin + key)
    .map(([name, text]) => name.slice(begin.length) + text);
  if (kept.length >= MOST_KEYS) {
    return { code: "storage_exhaustion", message: "Reached key limit for tool" };
  }
  if (kept.join("").length + key.length + value.length > MOST_CHARACTERS) {
    return { code: "storage_exhaustion", message: "Reached storage limit for tool" };
  }
  sessionStorage.setItem(begin + key, value);
  return null;
}

function answerTo(message, origin) {
  const { subject, message_id, key, value } = message;
  const answer = { subject: `${subject}.response`, message_id };
  if (subject === "lti.capabilities") {
    const supported = ["lti.capabilities", "lti.frameResize"].map((name) => ({ subject: name }));
    if (forwarder) {
      supported.push(...["lti.get_data", "lti.put_data"].map((name) => ({ subject: name, frame: forwarder.name })));
    }
    return { ...answer, supported_messages: supported };
  }
  if (!forwarder || (subject !== "lti.put_data" && subject !== "lti.get_data")) {
    return { ...answer, error: { code: "unsupported_subject", message: "unsupported subject" } };
  }
  if (typeof key !== "string" || !key || !message_id) {
    return { ...answer, error: { code: "bad_request", message: "Missing required field" } };
  }
  if (subject === "lti.get_data") {
    return { ...answer, key, value: sessionStorage.getItem(`platform_storage|${origin}|${key}`) };
  }
  const error = putData(origin, key, value);
  return error ? { ...answer, error } : { ...answer, key, value };
}

function parsed(data) {
  if (typeof data !== "string") {
    return data;
  }
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}

if (frame) {
  window.addEventListener("message", (event) => {
    const message = parsed(event.data);
    if (!message || typeof message.subject !== "string") {
      return;
    }
    const forwarded = forwarder && event.source === forwarder.contentWindow
      && event.origin === new URL(forwarder.src).origin;
    const origin = forwarded ? message.toolOrigin : event.origin;
    if (origin !== frame.dataset.toolOrigin || (!forwarded && event.source !== frame.contentWindow)) {
      return;
    }
    if (message.subject === "lti.frameResize") {
      const height = Number(message.height);
      if (height > 0) {
        frame.style.height = `${Math.min(Math.max(height, 150), 20000)}px`;
      }
      return;
    }
    if (message.subject === "org.imsglobal.lti.close" && frame.dataset.leaveTo) {
      window.location.assign(frame.dataset.leaveTo);
      return;
    }
    const answer = answerTo(message, origin);
    event.source.postMessage(forwarded ? { ...answer, toolOrigin: origin } : answer, event.origin);
  });
}
