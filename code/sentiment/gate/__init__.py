"""The promotion gate: a challenger goes live only when it is shown to be fit, on rows that no version trained on.

decision.py is the whole course. versions.py: what the registry knows; validation.py: the rows, and nearby.py their
copies; trial.py: scores and times; child.py: the trial's process, which fresh.py starts and watches; comparison.py: the
arithmetic; settings.py, case.py and rules.py: what is asked and answered; card.py and pictures.py: what people get to
read.
"""
