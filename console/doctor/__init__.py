"""./run.sh doctor: tries what an upstream can do, and prints the settings that fit it. Begin with command.py.

command  the order of things; report: what is printed
probes   what is asked, and what the answers mean; findings: a result; advice: the section that follows
patient  one upstream in one protocol; line: exchanges bodies with it; reach: tries the connection; models: its list
"""
