"""Checkpoints of other projects, read without their frameworks and without running anything they contain.

`files.py` is the way in; `pickle_reader.py` is the machine, `arrays.py` what NumPy writes, `torch_file.py` and
`paddle_file.py` the two frameworks' forms.
"""
