"""Look inside a pipeline that runs, or does not: its lag, its records, one record's way, what is wrong around it.

Nothing here changes anything: no offset of the group, no document, no setting. What is found is worked out by pure
functions; what asks the servers stands beside them.
"""
