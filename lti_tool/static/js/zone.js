// Chooses the reader's own time zone in select[name=zone], where nobody has chosen one yet.

const zones = document.querySelector("select[name=zone]");
const own = Intl.DateTimeFormat().resolvedOptions().timeZone;

if (zones && own && zones.value === "" && [...zones.options].some((option) => option.value === own)) {
  zones.value = own;
}
