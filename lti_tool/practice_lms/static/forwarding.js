// Stands between a tool in one frame and the page around both: hands messages on, with the origin they came from, and the
// answers back. A tool is sure of the answer by this frame's origin, which is the one of the login.

const { parent: around } = document.currentScript.dataset;
const tools = new Map();

window.addEventListener("message", (event) => {
  const message = event.data;
  if (!message || typeof message.message_id !== "string") {
    return;
  }
  if (event.source === window.parent && event.origin === around) {
    const tool = tools.get(message.message_id);
    tools.delete(message.message_id);
    if (tool) {
      const { toolOrigin, ...answer } = message;
      tool.postMessage(answer, toolOrigin);
    }
  } else {
    tools.set(message.message_id, event.source);
    window.parent.postMessage({ ...message, toolOrigin: event.origin }, around);
  }
});
