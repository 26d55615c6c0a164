"""The whole loop on one machine: four nodes, three rounds, two faults, a verified release.

command.py   `synnq demo`: set up or resume, watch, judge
wishes.py    what the command line asks for, against what a home has
setup.py     a home with four enrolled nodes
faults.py    round 2: a node is killed; round 3: a node lies
hostile.py   the payload of the node that lies
display.py   what the terminal shows meanwhile
promises.py  what the demo promised, checked at the end
closing.py   what the terminal shows at the end
"""
