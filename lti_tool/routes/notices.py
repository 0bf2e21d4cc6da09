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
    "switched": (
        "warning",
        "Saved. But meanwhile you have switched this activity to another micro-credential, in another tab. "
        "What you wrote is kept with the one you wrote it for.",
    ),
    "rehearsal-emptied": ("success", "The rehearsal is empty. You can try everything from the start."),
    "decided-rehearsal": (
        "success",
        "Recorded for the rehearsal. In Student View the feedback is there now. Nothing was posted or issued.",
    ),
    "handed-in": ("success", "Handed in. Your assessor can see it now."),
    "hidden": ("success", "Thank you. That piece of evidence is hidden, and faculty have been told."),
    "shared": ("success", "Your badge has a public page now. Anyone with the address can see it."),
    "name-shown": ("success", "The public page shows your name now."),
    "name-hidden": ("success", "The public page does not show your name any more."),
    "named": ("success", "Chosen. The badge is being signed; its files follow within seconds."),
    "named-already": ("info", "Nothing to do: the badge names you like that already."),
    "renamed": (
        "success",
        "Issued again. The new badge is being signed; the old file is listed as replaced.",
    ),
    "contents-same": ("info", "Nothing to do: the badge says that already."),
    "contents-changed": (
        "success",
        "Issued again with what you chose. It is being signed; the old file is listed as replaced.",
    ),
    "taken-back": ("success", "Taken back. Nobody sees it any more."),
    "taken-back-inside": (
        "success",
        "Taken back. The badge is issued again without it, and the old file is listed as replaced.",
    ),
    "letter-asked": ("success", "A letter is on its way. Open the link in it and press the button there."),
    "address-known": ("info", "You have confirmed this address already."),
    "address-deleted": ("success", "Deleted."),
    "link-sent": ("success", "A letter with a personal link is on its way to that address."),
    "closed": ("success", "Closed. Nobody can go back to your badges in this browser."),
    "revoked": ("success", "The badge is taken back. Whoever checks it reads your reason within minutes."),
    "issued-again": ("success", "Issued again. The new badge is being signed."),
    "unshared": ("success", "The public page is gone. Its address will not come back."),
    "nothing-to-review": (
        "info",
        "Nothing of the person whose work you opened waits here: it was not handed in, or was taken back.",
    ),
    "rated": ("success", "Your draft is saved. Nobody but you sees it until you record a decision."),
    "decided": (
        "success",
        "Recorded: demonstrated. The badge is issued, and the grade goes to the gradebook within seconds.",
    ),
    "decided-without-column": (
        "success",
        "Recorded: demonstrated. The badge is issued. No grade was sent: there is no gradebook column.",
    ),
    "decided-part": (
        "success",
        "Recorded: demonstrated. The badge is issued. The grade of this activity is for the whole stack: it goes to "
        "the gradebook when the stack is complete, and not before.",
    ),
    "stack-taken": ("success", "What you have earned counts here now. Your instructors see how far you are."),
    "decided-not-yet": (
        "success",
        "Recorded: not yet demonstrated. The earner sees your feedback and can hand in again.",
    ),
    "decision-changed": (
        "success",
        "Recorded. This decision counts now; the earner sees it, what it replaces, and your reason.",
    ),
    "privacy-reported": (
        "success",
        "Thank you. The evidence is hidden from everybody. Please look at it under “Privacy problems”.",
    ),
    "evidence-removed": ("success", "The evidence stays hidden for good."),
    "evidence-restored": ("success", "The evidence is shown again."),
    "sent-again": ("info", "On its way again, as a score of its own that takes the place of the old one."),
    "sent-many": (
        "success",
        "On their way again. Each is a score of its own that takes the place of the old one.",
    ),
    "sent-a-step": (
        "success",
        "These are on their way again. There are more: look at the next ones below, and press again.",
    ),
    "settled": ("success", "Recorded, with your name and the time."),
    "say-why": ("warning", "Nothing was changed: please write why, and press again."),
    "zero-owed": ("success", "A 0 is on its way to the gradebook, with your reason as its comment."),
    "left-as-it-is": ("success", "Left as it is. The gradebook’s grade counts."),
    "explained": ("success", "Left as it is, and your note is kept with the score."),
    "not-sent": ("success", "It is not sent. Your reason is kept with the score."),
    "asked-again": ("info", "On its way to the gradebook once more. Look again in a few minutes."),
    "read-asked": ("info", "Tessera asks the gradebook now. What it shows appears below within seconds."),
    "read-lately": (
        "info",
        "This gradebook column was asked for within the last minute, with everybody in it. What is shown is from then, "
        "or will be here in a moment.",
    ),
    "term-saved": ("success", "The term is saved."),
    "courses-put": ("success", "Saved. What launches say about the term of these courses no longer counts."),
    "courses-put-by-date": (
        "success",
        "Saved. Courses whose first day is in no term, or in more than one, are still listed without a term.",
    ),
    "sis-saved": (
        "success",
        "Saved, and the file is deleted. You find people and sections by these SIS ids now.",
    ),
    "sis-file-gone": (
        "info",
        "No file of yours waits: it was saved already, or its hour was over. If you miss a change, upload it again.",
    ),
    "sis-file-forgotten": ("success", "The file is deleted. Nothing was changed."),
    "reminded": ("success", "Their page of the course says now that you ask for its close-out."),
    "reminded-by-mail": (
        "success",
        "Their page of the course says now that you ask for its close-out, and a letter goes to those of them who have "
        "confirmed an address here.",
    ),
    "closed-out": ("success", "Recorded. What goes to the gradebook goes within seconds."),
    "closed-out-some": (
        "warning",
        "Recorded. Some were passed over: they were decided meanwhile, or had that choice already.",
    ),
    "approved": ("success", "Approved. People can come in from there now."),
    "switched-off": (
        "success",
        "Switched off. Nobody comes in from there any more. Grades that are owed still go.",
    ),
    "declined": ("success", "Declined and forgotten. In the LMS, delete Tessera as well."),
    "connected": ("success", "Connected. Now test the connection."),
    "policy-set": ("success", "Saved. It counts for deployments that appear from now on."),
    "deployment-on": ("success", "Switched on."),
    "deployment-off": ("success", "Switched off. Visits that are open there end with their next page."),
    "desk-granted": ("success", "They can open the registrar’s desk and these pages from now on."),
    "desk-withdrawn": ("success", "The registrar’s desk is closed for them from now on."),
    "desk-joined": (
        "success",
        "This is the registrar’s desk. From now on, “Registrar’s desk” stands on every page of Tessera that you open "
        "with this account, other than as a student.",
    ),
    "frames-changed": ("success", "Saved. It counts from the next launch on."),
    "invitation-withdrawn": ("success", "Withdrawn. Its address does not work any more."),
    "relinked": ("success", "The activity is set up. Your students can open it now."),
    "score-policy": (
        "success",
        "Saved. It holds for decisions from now on; what was decided before keeps its score.",
    ),
    "earlier-results": ("success", "Saved. It holds for everybody who opens this activity from now on."),
    "not-parked": ("info", "Nothing to do: this score does not need attention any more."),
}


def shown(key: str | None) -> list[tuple[str, str]]:
    """Tone and text for a key of the query; nothing for an unknown one."""
    return [NOTICES[key]] if key in NOTICES else []
