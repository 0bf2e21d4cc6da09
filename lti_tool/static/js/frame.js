// Tells the LMS how tall the page is, so that its iframe needs no second scrollbar. Canvas listens to this message;
// others ignore it. Only a number leaves, so any parent may hear it.

const framed = window.parent !== window;
let told = 0;
let waiting = false;

function tell() {
  waiting = false;
  const height = Math.ceil(document.body.getBoundingClientRect().height);
  // A pixel more or less is rounding; answering it could make the frame grow for ever.
  if (Math.abs(height - told) > 1) {
    told = height;
    window.parent.postMessage({ subject: "lti.frameResize", height }, "*");
  }
}

function soon() {
  if (!waiting) {
    waiting = true;
    window.setTimeout(tell, 100);
  }
}

if (framed) {
  new ResizeObserver(soon).observe(document.body);
  tell();
}
