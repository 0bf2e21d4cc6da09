// The last page of a registration: tells the LMS that opened the window that we are done. Some close it, some do not.

const button = document.querySelector("[data-close]");
const opener = window.opener ?? (window.parent === window ? null : window.parent);

if (button && opener) {
  button.hidden = false;
  button.addEventListener("click", () => {
    // Says only that, so any opener may hear it.
    opener.postMessage({ subject: "org.imsglobal.lti.close" }, "*");
  });
}
