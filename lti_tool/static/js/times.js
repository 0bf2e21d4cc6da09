// Turns moments, written in UTC by the server, into the reader's own time. The original stays in the tooltip.

const STYLES = {
  moment: { dateStyle: "medium", timeStyle: "short" },
  day: { dateStyle: "long" },
};

const localise = (part) => {
  for (const element of part.querySelectorAll("time[data-localise]")) {
    const moment = new Date(element.dateTime);
    if (!Number.isNaN(moment.getTime())) {
      element.title = element.textContent.trim();
      element.textContent = new Intl.DateTimeFormat(undefined, STYLES[element.dataset.localise]).format(moment);
    }
  }
};

localise(document);
document.addEventListener("fresh", (event) => localise(event.target));
