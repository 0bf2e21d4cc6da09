"""The list of launches and service answers that a tool must stand, and of what users of others complain about, with the
tests that show each of them. A line that names no test that exists fails."""

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.certification import corpus

TESTS = Path(__file__).parents[1]
CASES = {case.name for case in corpus.launches()} | {case.name for case in corpus.logins()}

WRONG = "test_corpus.py::test_a_wrong_launch_is_refused_for_what_is_wrong_and_leaves_nothing"
WRONG_LOGIN = "test_corpus.py::test_a_wrong_login_is_refused_for_what_is_wrong"
ALLOWED = "test_the_door.py::test_what_is_unusual_but_allowed_gets_in"

MUST_STAND: dict[str, list[str]] = {
    # The bad messages of the 1EdTech certification suite, for each platform's own base where that makes a difference.
    "no kid": [f"{WRONG}[no kid]"],
    "wrong kid": [f"{WRONG}[kid 'unknown']", f"{WRONG}[a key that the platform has withdrawn]"],
    "wrong version": [f"{WRONG}[version = '1.1.0']"],
    "missing version": [f"{WRONG}[moodle learner: version missing]"],
    "missing message_type": [f"{WRONG}[moodle learner: message_type missing]"],
    "missing roles": [f"{WRONG}[canvas assignment-learner: roles missing]"],
    "missing deployment_id": [f"{WRONG}[canvas assignment-learner: deployment_id missing]"],
    "missing resource_link": [f"{WRONG}[moodle learner: resource_link missing]"],
    "missing sub": [
        f"{WRONG}[canvas assignment-learner: sub missing]",
        "test_the_door.py::test_somebody_whom_the_platform_does_not_name_is_asked_to_sign_in",
    ],
    "wrong iat": [f"{WRONG}[Moodle: made twelve minutes ago]", f"{WRONG}[Moodle: made two minutes from now]"],
    "wrong exp": [f"{WRONG}[Canvas: over two minutes ago]"],
    "bad JSON": [f"{WRONG}[header broken]", f"{WRONG}[id_token not JSON inside]"],
    # What nobody had.
    "replayed id_token": [
        "test_the_door.py::test_a_message_posted_twice_opens_once_and_the_first_visit_goes_on",
        "test_replay_in_parallel.py::test_of_many_that_post_one_message_at_once_one_gets_in",
    ],
    "nonce from another login": ["test_the_door.py::test_the_nonce_of_one_login_does_not_open_another"],
    "state from another registration": [
        "test_the_door.py::test_the_state_of_another_registration_s_login_is_refused_either_way",
        "test_corpus.py::test_a_message_for_one_tenant_does_not_answer_the_login_of_another_with_the_same_issuer",
    ],
    "list aud with azp": [
        f"{ALLOWED}[several audiences, azp ours]",
        f"{ALLOWED}[the audience alone in a list]",
    ],
    "list aud without azp": [
        f"{WRONG}[Moodle: two audiences, no azp]",
        f"{WRONG}[Canvas: two audiences, azp another]",
    ],
    "unknown kid, then rotation": [
        "test_the_door.py::test_a_key_that_came_after_we_looked_is_found_and_the_old_one_no_longer"
    ],
    "iat five seconds ahead": [f"{ALLOWED}[iat five seconds ahead of us]"],
    "exp missing": [f"{WRONG}[moodle learner: exp missing]"],
    "alg HS256": [
        f"{WRONG}[alg 'HS256' over a good RS256 signature]",
        f"{WRONG}[signed with the public key as a shared secret]",
    ],
    "alg none": [f"{WRONG}[unsigned]"],
    "target_link_uri of a foreign origin": [
        f"{WRONG}[message for a target elsewhere]",
        f"{WRONG_LOGIN}[target elsewhere]",
    ],
    "two tabs, two courses": ["test_the_door.py::test_two_tabs_with_two_courses_and_two_roles_stay_apart"],
    "cookies blocked, with and without lti_storage_target": [
        "test_the_door.py::test_without_any_cookie_the_person_goes_on_in_a_new_tab"
    ],
    "two tenants with one issuer must not share tokens": [
        "test_services.py::test_two_tenants_with_one_issuer_and_one_token_address_never_share_a_token"
    ],
    "Canvas's bookmark paging": [
        "test_services.py::test_every_page_of_a_roster_is_read_however_the_next_one_is_named[Canvas's bookmarks]"
    ],
    "Moodle's Link with typographic quotes": [
        "test_services.py::test_every_page_of_a_roster_is_read_however_the_next_one_is_named"
        "[Moodle's typographic quotes]"
    ],
    "Moodle's 409 in the same second": [
        "test_scores.py::test_two_scores_of_one_second_both_arrive_and_the_newer_stands"
    ],
    "Canvas's 403 for throttling": [
        "test_scores.py::test_a_canvas_that_is_asked_too_fast_gets_the_score_later_and_nobody_is_bothered"
    ],
    "Canvas's 422 for attempts": [
        "test_scores.py::test_where_canvas_allows_no_further_attempt_an_assessed_score_still_lands"
    ],
    "score 0": ["test_scores.py::test_a_zero_arrives_as_a_zero"],
    "unpublished course": [
        "test_scores.py::test_an_unpublished_activity_is_named_and_the_score_goes_once_it_is_published"
    ],
    "Student View": ["test_the_door.py::test_student_view_is_a_rehearsal"],
    "course copy with an unsubstituted history variable": [
        "test_the_door.py::test_a_copied_course_whose_history_nobody_filled_in_has_an_activity_of_its_own"
    ],
    "line item deleted by the instructor (404, made anew once)": [
        "test_services.py::test_a_column_that_a_teacher_deleted_is_made_anew_once"
    ],
    "dynamic registration with messages_supported as strings and as objects": [
        "test_services.py::test_a_platform_registers_us_whether_it_lists_its_messages_as_names_or_as_objects"
    ],
    # The OIDC leg.
    "login by GET or POST; exactly the parameters of LTI; redirect_uri exactly as registered": [
        "test_the_door.py::test_the_browser_is_sent_on_with_exactly_what_lti_asks_for"
    ],
    "lti_message_hint only if it was given": [
        "test_the_door.py::test_a_message_hint_that_was_not_given_is_not_sent"
    ],
    "an authorization address that has a query": [
        "test_the_door.py::test_an_authorization_address_with_a_query_keeps_it"
    ],
    "both names of the deployment parameter, and neither": [
        "test_the_door.py::test_a_deployment_may_be_named_in_the_login_either_way_or_not_at_all"
    ],
    "registration by issuer and client id; by issuer alone only if unique": [
        "test_the_door.py::test_an_issuer_with_one_registration_needs_no_client_id_and_one_with_two_does"
    ],
    "extra form fields": ["test_the_door.py::test_form_fields_besides_those_of_lti_are_no_matter"],
    "a message in another browser": [
        "test_the_door.py::test_a_message_taken_to_another_browser_opens_nothing_there_and_spoils_nothing"
    ],
    "every recorded launch is accepted": [
        "test_corpus.py::test_the_unchanged_message_gets_in_by_the_same_way",
        "test_recorded_launches.py::test_every_recorded_launch_is_accepted",
    ],
}

COMPLAINTS: dict[str, list[str]] = {
    "third-party cookies are blocked: storage, a button and a new tab, and never “State not found”": [
        "test_the_door.py::test_without_any_cookie_the_person_goes_on_in_a_new_tab",
        "../routes/test_entry.py::test_the_login_sets_one_cookie_that_browsers_keep_in_a_frame",
        "../routes/test_arriving.py::test_a_browser_that_keeps_no_cookie_even_in_a_tab_of_its_own_is_told_what_to_allow",
        "../routes/test_arriving.py::test_support_can_find_what_the_person_reads_out",
        "../journeys/test_launching.py::test_with_all_cookies_refused_the_activity_opens_in_a_new_tab_and_works_there",
    ],
    "sessions are shared across tabs and courses": [
        "test_the_door.py::test_two_tabs_with_two_courses_and_two_roles_stay_apart",
        "../journeys/test_launching.py::test_two_tabs_with_two_roles_never_mix",
    ],
    "several workers lose the nonce": [
        "test_the_door.py::test_a_login_that_one_process_answered_is_ended_by_another"
    ],
    "deployment ids cannot be listed beforehand": [
        "../lti/test_deployments.py::test_a_deployment_appears_with_its_first_valid_launch",
        "../lti/test_deployments.py::"
        "test_where_new_deployments_wait_they_appear_and_are_told_so_until_somebody_approves_them",
        "../routes/test_admin.py::test_deployments_are_approved_and_switched_off_by_the_platforms_own_administrator",
    ],
    "line items are made twice": [
        "../passback/test_columns.py::test_a_column_that_the_launch_names_is_not_looked_for",
        "../passback/test_columns.py::test_a_column_that_is_there_is_found_and_none_made",
        "../passback/test_columns.py::test_workers_that_look_at_the_same_moment_make_one_column",
        "../passback/test_columns.py::test_a_column_whose_making_was_never_confirmed_is_found_afterwards",
    ],
    "Canvas's module links have the id of the course": [
        "test_the_door.py::test_in_canvas_a_link_with_the_id_of_its_course_is_no_identity",
        "../routes/test_copies.py::test_links_that_canvas_cannot_tell_apart_are_one_activity_for_each_micro_credential",
    ],
    "SpeedGrader names the wrong link": [
        "../passback/test_notes.py::test_canvas_is_told_that_work_waits_and_where_the_assessor_finds_it",
        "../routes/test_submission_review.py::"
        "test_speedgrader_s_address_opens_the_submission_whatever_link_the_launch_names",
        "../routes/test_submission_review.py::test_the_address_stays_the_same_however_often_it_is_encoded",
    ],
    "a course is copied": [
        "../platforms/test_copied_courses.py::test_in_a_copy_whose_links_say_nothing_faculty_relink_in_one_click",
        "../platforms/test_copied_courses.py::"
        "test_a_copy_with_its_links_intact_asks_nobody_and_its_people_are_listed",
        "test_the_door.py::test_a_copied_course_whose_history_nobody_filled_in_has_an_activity_of_its_own",
    ],
    "upgraded links and persons have two ids": [
        "test_the_door.py::test_who_somebody_is_hangs_on_sub_and_never_on_the_ids_of_lti_1_1"
    ],
    "grade sync fails unseen: the connection can be tested, one bad score stops no other": [
        "../lti/test_connection.py::test_a_healthy_connection_is_good_throughout",
        "../routes/test_admin.py::test_a_connection_test_is_made_in_the_background_and_shown",
        "../passback/test_delivery.py::test_a_refused_score_does_not_hold_up_the_others",
    ],
    "work is wrongly late": [
        "../lti/test_ags.py::test_a_score_goes_below_the_path_and_the_query_stays",
        "../assessment/test_deciding.py::test_demonstrated_writes_the_decision_the_badge_and_the_owed_score_together",
    ],
    "Canvas's preconditions": [
        "test_scores.py::test_an_unpublished_activity_is_named_and_the_score_goes_once_it_is_published",
        "test_scores.py::test_a_learner_who_left_gets_the_grade_after_coming_back",
    ],
    "zeros are lost": [
        "test_scores.py::test_a_zero_arrives_as_a_zero",
        "../lti/test_ags.py::test_zero_is_a_score_and_fractions_are_rounded_only_here",
        "../passback/test_rules.py::test_an_empty_cell_is_not_zero",
    ],
    "Moodle and Canvas turn away who does not say who they are": [
        "../lti/test_platform_keys.py::test_the_platform_is_told_who_asks",
        "test_services.py::test_every_service_is_told_who_asks",
    ],
    "after dynamic registration nothing happens": [
        "../routes/test_registration.py::test_a_moodle_is_asked_for_what_it_knows_and_waits_for_an_approval",
        "../routes/test_registration.py::"
        "test_a_canvas_is_asked_with_its_placements_privacy_level_and_term_and_may_grant_less",
        "../lti/test_deployments.py::test_launches_tell_which_permissions_were_granted",
        "../routes/test_admin.py::test_missing_permissions_are_shown_with_what_does_not_work",
    ],
}


@cache
def functions_in(file: Path) -> frozenset[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize(
    ("sentence", "tests"), [*MUST_STAND.items(), *COMPLAINTS.items()], ids=[*MUST_STAND, *COMPLAINTS]
)
def test_each_sentence_has_its_tests(sentence: str, tests: list[str]) -> None:
    assert tests
    for test in tests:
        name, _, case = test.removesuffix("]").partition("[")
        path, _, function = name.partition("::")
        file = (Path(__file__).parent / path).resolve()
        assert file.is_relative_to(TESTS)
        assert function in functions_in(file), f"{sentence}: there is no {name}"
        assert not case or case in CASES or f'"{case}"' in file.read_text(encoding="utf-8"), (
            f"{sentence}: {case}"
        )


def test_what_a_tool_must_stand_is_shown_here_through_the_public_door() -> None:
    assert not [test for tests in MUST_STAND.values() for test in tests if test.startswith("../")]
