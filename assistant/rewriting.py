def may_depend(question):
    return False
