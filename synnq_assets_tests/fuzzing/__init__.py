"""Any bytes give a value or a typed error, in time that grows with their length.

    targets.py    every parser that reads foreign bytes, with valid samples to start from
    samples.py    what the samples are made of
    mutations.py  how a sample is spoilt: by bytes, and as JSON
    fuzz_one.py   one target under atheris (extra `fuzz`), guided by coverage

`benchmarks/fuzz.py` runs all of them and counts.
"""
