"""`python -m lti_tool.cli`, for where the `lti-tool` script is not on the path."""

from lti_tool.cli import main

main()
