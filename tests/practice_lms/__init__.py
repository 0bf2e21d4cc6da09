"""The practice LMS, sent what Canvas and Moodle would refuse or damage."""
