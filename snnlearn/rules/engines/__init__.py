"""How rules are computed: on the tape, by intervals, in place, where events are, or by influence matrices.

May import the rules' own base and tape, and what rules may import; a rule says which engine runs when.
"""
