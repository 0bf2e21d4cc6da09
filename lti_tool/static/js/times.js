// Turns moments, written in UTC by the server, into the reader's own time. The original stays in the tooltip.

const STYLES = {
  moment: { dateStyle: "medium", timeStyle: "short" },
  day: { dateStyle: "long" },
};

for (const element of document.querySelectorAll("time[data-localise]")) {
  const moment = new Date(element.dateTime);
  if (!Number.isNaN(moment.getTime())) {
    element.title = element.textContent.trim();
    element.textContent = new Intl.DateTimeFormat(undefined, STYLES[element.dataset.localise]).format(moment);
  }
}
