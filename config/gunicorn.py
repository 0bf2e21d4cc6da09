"""How `lti-tool run` serves, which is the same as: gunicorn -c config/gunicorn.py "lti_tool.app:create_app()".

Threads, because a page waits for the database more than for the processor. WEB_CONCURRENCY sets the number of
worker processes; on SQLite one is enough.
"""

worker_class = "gthread"
threads = 8
timeout = 60
graceful_timeout = 15
keepalive = 5

# Addresses hold launch ids, so there is no access log; our own log has what happened, without persons.
accesslog = None
errorlog = "-"
loglevel = "warning"

control_socket_disable = True
