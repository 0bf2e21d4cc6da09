// Sends a form that only carries an answer back to the LMS (form[data-onward]). Its button stays for those without
// JavaScript.

document.querySelector("form[data-onward]")?.requestSubmit();
