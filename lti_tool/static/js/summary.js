// After a refused form, begin where the errors are listed.

document.querySelector("[data-error-summary]")?.focus();
