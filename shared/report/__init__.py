"""The HTML report: one file from the folders of runs.

`read` finds and reads runs, `summary` computes, `charts` and `crops` draw, `view` sorts it all into sections, `page` renders.
"""
