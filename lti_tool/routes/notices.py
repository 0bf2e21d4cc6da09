"""What pages say after something was done. The address carries a key, never text, so nobody can put words in our
mouth, and no second cookie is needed to carry a message over a redirect."""

NOTICES: dict[str, tuple[str, str]] = {
    "started": (
        "success",
        "You have started. Your work is saved here; you can leave and come back any time.",
    ),
    "saved": ("success", "Saved. You can leave and come back any time."),
    "removed": ("success", "Removed, and everything else saved."),
    "changed": ("warning", "The work was changed in another tab just now. Please look again, then hand in."),
    "student-view": (
        "warning",
        "You are in Student View. You can try everything up to here; a test student hands nothing in.",
    ),
    "handed-in": ("success", "Handed in. Your assessor can see it now."),
    "hidden": ("success", "Thank you. That piece of evidence is hidden, and faculty have been told."),
    "shared": ("success", "Your badge has a public page now. Anyone with the address can see it."),
    "unshared": ("success", "The public page is gone. Its address will not come back."),
    "rated": ("success", "Your draft is saved. Nobody but you sees it until you record a decision."),
    "decided": (
        "success",
        "Recorded: demonstrated. The badge is issued, and the grade goes to the gradebook within seconds.",
    ),
    "decided-without-column": (
        "success",
        "Recorded: demonstrated. The badge is issued. No grade was sent: there is no gradebook column.",
    ),
    "decided-not-yet": (
        "success",
        "Recorded: not yet demonstrated. The earner sees your feedback and can hand in again.",
    ),
    "privacy-reported": (
        "success",
        "Thank you. The evidence is hidden from everybody. Please look at it under “Privacy problems”.",
    ),
    "evidence-removed": ("success", "The evidence stays hidden for good."),
    "evidence-restored": ("success", "The evidence is shown again."),
    "sent-again": ("info", "On its way again, as a score of its own that takes the place of the old one."),
    "not-parked": ("info", "Nothing to do: this score does not need attention any more."),
}


def shown(key: str | None) -> list[tuple[str, str]]:
    """Tone and text for a key of the query; nothing for an unknown one."""
    return [NOTICES[key]] if key in NOTICES else []
