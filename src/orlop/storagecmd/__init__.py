"""`orlop-storage`: the verbs of containers-storage, on an orlop store."""
